// Runs cases with Vercel's `ai` package and its OpenAI provider, whose default models speak the Responses API. See
// probe.mjs for input and output.

import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, jsonSchema, streamText, tool } from 'ai';
import { main, recordingFetch, requestHeaders } from './probe.mjs';

// The mock's model calls it; without an implementation the library hands the call out and stops.
const tools = {
  get_weather: tool({ description: 'The weather.', inputSchema: jsonSchema({ type: 'object' }) }),
};

async function call(request, probe) {
  const openai = createOpenAI({
    baseURL: `${request.base_url}/v1`,
    apiKey: 'sk-mock-test',
    fetch: recordingFetch(probe),
    headers: requestHeaders(request),
  });
  const leave = new AbortController();
  const settings = {
    model: openai(request.model ?? 'gpt-5.4-mini'),
    prompt: request.prompt ?? 'Post the invoice and say what remains open.',
    maxRetries: request.max_retries ?? 0,
    abortSignal: leave.signal,
    tools,
  };
  try {
    if (!request.stream) {
      const result = await generateText(settings);
      probe.answer.events = 1;
      for (const part of result.content) absorbPart(part, probe);
      absorb(result, probe);
      return;
    }
    let error = null;
    const result = streamText({ ...settings, onError: () => {} });
    for await (const part of result.fullStream) {
      probe.answer.events += 1;
      if (part.type === 'text-delta' || part.type === 'reasoning-delta') probe.text(part.text);
      if (part.type === 'tool-call') probe.text(JSON.stringify(part.input));
      if (part.type === 'error') error = part.error;
      if (part.type === 'finish-step') absorb(part, probe);
      if (!probe.wantsMore()) {
        leave.abort();
        break;
      }
    }
    if (error) throw error;
  } catch (error) {
    if (leave.signal.aborted) return;
    if (APICallError.isInstance(error)) error.package = 'ai';
    throw error;
  }
}

function absorbPart(part, probe) {
  if (part.type === 'text' || part.type === 'reasoning') probe.text(part.text);
  if (part.type === 'tool-call') probe.text(JSON.stringify(part.input));
}

function absorb(step, probe) {
  Object.assign(probe.answer, {
    id: step.response.id,
    model: step.response.modelId,
    usage: step.usage.raw ?? null,
    finish_reason: step.finishReason,
  });
}

await main('ai', call);
