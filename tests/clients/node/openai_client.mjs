// Runs cases against the Responses API with the real `openai` package for Node. See probe.mjs for input and output.

import OpenAI from 'openai';
import { main, recordingFetch, requestHeaders } from './probe.mjs';

function absorb(response, probe) {
  Object.assign(probe.answer, {
    id: response.id,
    model: response.model,
    usage: response.usage ?? null,
    service_tier: response.service_tier,
    finish_reason: response.incomplete_details?.reason ?? response.status,
  });
}

function absorbItem(item, probe) {
  for (const part of item.summary ?? []) probe.text(part.text);
  for (const part of item.content ?? []) probe.text(part.text ?? part.refusal);
  if (item.type === 'function_call') probe.text(item.arguments);
}

async function call(request, probe) {
  const api = new OpenAI({
    baseURL: `${request.base_url}/v1`,
    apiKey: 'sk-mock-test',
    maxRetries: request.max_retries ?? 0,
    timeout: (request.timeout_s ?? 60) * 1000,
    fetch: recordingFetch(probe),
    defaultHeaders: requestHeaders(request),
  });
  const body = {
    model: request.model ?? 'gpt-5.4-mini',
    input: request.prompt ?? 'Post the invoice and say what remains open.',
  };
  try {
    if (!request.stream) {
      const response = await api.responses.create(body);
      probe.answer.events = 1;
      for (const item of response.output) absorbItem(item, probe);
      absorb(response, probe);
      return;
    }
    for await (const event of await api.responses.create({ ...body, stream: true })) {
      probe.answer.events += 1;
      if (event.type.endsWith('.delta')) probe.text(event.delta);
      if (event.response) absorb(event.response, probe);
      if (!probe.wantsMore()) break;
    }
  } catch (error) {
    if (error instanceof OpenAI.OpenAIError) error.package = 'openai';
    throw error;
  }
}

await main('openai-node', call);
