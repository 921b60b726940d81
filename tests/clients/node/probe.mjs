// What the client programs for Node share; the counterpart of ../python/probe.py, with the same input and output.
//
// The bytes are hashed below the library, in the `fetch` that it is given: what the network delivered, before any content
// decoding. Nothing here retries, sleeps or hides an error.

import { createHash } from 'node:crypto';
import http from 'node:http';
import { Transform, pipeline } from 'node:stream';
import zlib from 'node:zlib';

const CHUNKS_MAX = 4000;
const TEXT_MAX = 2000;
const DECODERS = { gzip: zlib.createGunzip, br: zlib.createBrotliDecompress, zstd: zlib.createZstdDecompress };

/** The observations of one case. */
export class Probe {
  constructor(request) {
    this.request = request;
    this.started = performance.now();
    this.attempts = 0;
    this.texts = [];
    this.ttft = null;
    this.answer = { id: null, model: null, usage: null, finish_reason: null, events: 0 };
    this.reset();
  }

  reset() {
    this.sha256 = createHash('sha256');
    this.bytes = 0;
    this.chunks = [];
    this.ended = false;
    this.status = null;
    this.headers = [];
  }

  elapsed() {
    return Math.round((performance.now() - this.started) * 1000) / 1000;
  }

  /** A retry starts over: the last attempt is the one that is reported. */
  response(response) {
    this.reset();
    this.attempts += 1;
    this.status = response.statusCode;
    const raw = response.rawHeaders;
    for (let at = 0; at < raw.length; at += 2) this.headers.push([raw[at].toLowerCase(), raw[at + 1]]);
  }

  data(chunk) {
    this.sha256.update(chunk);
    this.bytes += chunk.length;
    if (this.chunks.length < CHUNKS_MAX) this.chunks.push([this.elapsed(), chunk.length]);
  }

  text(text) {
    if (!text) return;
    this.ttft ??= this.elapsed();
    this.texts.push(text);
  }

  /** True while the case wants more events. */
  wantsMore() {
    const limit = this.request.abort_after;
    return limit === undefined || this.answer.events < limit;
  }

  report(client, error) {
    const text = this.texts.join('');
    return {
      client,
      case: this.request.case,
      mode: this.request.mode ?? 'async',
      stream: Boolean(this.request.stream),
      scenario: this.request.scenario ?? 'plain',
      sha256: this.sha256.copy().digest('hex'),
      bytes: this.bytes,
      ended: this.ended,
      chunks: this.chunks,
      status: this.status,
      headers: this.headers,
      attempts: this.attempts,
      text: [...text].slice(0, TEXT_MAX).join(''),
      text_sha256: createHash('sha256').update(text).digest('hex'),
      choices: text ? 1 : 0,
      ttft_ms: this.ttft,
      total_ms: this.elapsed(),
      aborted: this.request.abort_after !== undefined,
      error: error ? error.constructor.name : null,
      error_module: error ? (error.package ?? null) : null,
      error_message: error ? String(error.message).slice(0, 500) : null,
      ...this.answer,
    };
  }
}

/** A `fetch` that tells the probe about every response. */
export function recordingFetch(probe) {
  return (input, init = {}) =>
    new Promise((resolve, reject) => {
      const options = {
        method: init.method ?? 'GET',
        headers: { 'accept-encoding': 'gzip, deflate', ...Object.fromEntries(new Headers(init.headers)) },
        agent: false,
        signal: init.signal ?? undefined,
      };
      const request = http.request(new URL(input.url ?? input), options);
      request.on('error', reject);
      request.on('response', (response) => {
        probe.response(response);
        const tap = new Transform({
          transform(chunk, _, done) {
            probe.data(chunk);
            done(null, chunk);
          },
          flush(done) {
            probe.ended = response.complete;
            done(response.complete ? null : new Error('the connection broke before the end of the body'));
          },
        });
        const decoder = DECODERS[response.headers['content-encoding']];
        const stages = decoder ? [response, tap, decoder()] : [response, tap];
        // An error reaches the reader of the last stage; there is nothing to do about it here.
        const body = pipeline(...stages, () => {});
        const headers = new Headers(probe.headers);
        resolve(new Response(webStream(body), { status: response.statusCode, headers }));
      });
      request.end(init.body);
    });
}

/** `Readable.toWeb` throws out of nowhere when a reader leaves early (Node 20), which is what these cases do. */
function webStream(readable) {
  const chunks = readable[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      readable.destroy();
    },
  });
}

/** The headers of a case: identity, traceparent and the scenario's own. */
export function requestHeaders(request) {
  const headers = { ...request.headers, 'x-mock-scenario': request.scenario ?? 'plain' };
  if (request.params) headers['x-mock-params'] = request.params;
  return headers;
}

/** Runs `{"base_url", "concurrency", "cases": [...]}` from standard input, `concurrency` cases at a time. */
export async function main(client, call) {
  let input = '';
  for await (const chunk of process.stdin) input += chunk;
  const job = JSON.parse(input);
  const waiting = [...job.cases];
  const worker = async () => {
    for (let request = waiting.shift(); request; request = waiting.shift()) {
      const probe = new Probe(request);
      let error = null;
      try {
        await call({ ...job, ...request }, probe);
      } catch (raised) {
        error = raised;
      }
      process.stdout.write(JSON.stringify(probe.report(client, error)) + '\n');
    }
  };
  await Promise.all(Array.from({ length: job.concurrency ?? 1 }, worker));
}
