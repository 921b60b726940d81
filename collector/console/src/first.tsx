// Before the first call: what to paste, and what has been seen so far.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useApi, type Spend, type Status } from './api';
import { addDays, now } from './calendar';
import { ago, num } from './format';
import { Code, Seg, State } from './parts';
import { FIRST_CALL_MS, LIVE_MS } from './rhythm';

const HOST = location.hostname;

const CLIENTS: { value: string; text: string; how: string; lines: string }[] = [
  {
    value: 'openai',
    text: 'OpenAI',
    how: 'Any OpenAI SDK. The agent runs beside the service, with an upstream at /openai.',
    lines: 'export OPENAI_BASE_URL=http://127.0.0.1:4100/openai/v1',
  },
  {
    value: 'anthropic',
    text: 'Anthropic',
    how: 'Any Anthropic SDK, Claude Code too. The agent has an upstream at /anthropic.',
    lines: 'export ANTHROPIC_BASE_URL=http://127.0.0.1:4100/anthropic',
  },
  {
    value: 'azure',
    text: 'Azure',
    how: 'The agent\u2019s upstream is your resource; its dialect is openai.',
    lines: 'export AZURE_OPENAI_ENDPOINT=http://127.0.0.1:4100/azure',
  },
  {
    value: 'langchain',
    text: 'LangChain',
    how: 'By the base URL of the model that it is given.',
    lines: 'ChatOpenAI(model="gpt-4.1-mini", base_url="http://127.0.0.1:4100/openai/v1")',
  },
  {
    value: 'otlp',
    text: 'OpenTelemetry',
    how: 'A service that sends GenAI spans needs no agent: they are read as they are.',
    lines: `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${HOST}:4318\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`,
  },
];

const CURL = `curl http://127.0.0.1:4100/openai/v1/chat/completions \\
  -H "authorization: Bearer $OPENAI_API_KEY" -H "content-type: application/json" \\
  -d '{"model":"gpt-4.1-mini","messages":[{"role":"user","content":"hello"}]}'`;

// What there is to see where nothing was called: `children` if something ever was, and else how to begin. The first call is first shown when
// what shows it was asked for after it: `asked` says when, and `onCall` asks anew.
export function Nothing(props: { zone: string; asked: number; onCall: () => void; children: ComponentChildren }) {
  const { zone, asked, onCall, children } = props;
  const question = new URLSearchParams({ zone, from: '2020-01-01', to: addDays(now(zone).date, 1) }).toString();
  const [isFirst, setIsFirst] = useState(false);
  const ever = useApi<Spend>('/api/v1/spend', question, '', isFirst ? FIRST_CALL_MS : LIVE_MS);
  const calls = ever.data?.total.calls;
  const isOld = isFirst && asked <= ever.asked;
  useEffect(() => {
    if (calls === 0) setIsFirst(true);
    else if (isOld) onCall();
    else if (calls) setIsFirst(false);
  }, [calls, asked]);
  return calls === 0 || isOld ? <First /> : <>{children}</>;
}

function First() {
  const [client, setClient] = useState('openai');
  const status = useApi<Status>('/api/v1/status', '', '');
  const chosen = CLIENTS.find((one) => one.value === client) ?? CLIENTS[0];
  const account = status.data?.account;
  return (
    <>
      <header>
        <div>
          <h1>Waiting for the first call</h1>
          <p>This page turns into Spend by itself when it arrives.</p>
        </div>
      </header>
      <div class="cols">
        <section class="c8">
          <h2>1. Point your client at the agent</h2>
          <Seg label="Your client" of={CLIENTS} at={client} pick={setClient} />
          <p class="s dim">{chosen?.how}</p>
          <Code label="What to paste" text={chosen?.lines ?? ''} />
          <h2>
            2. Make a call<small>as your service does, or this one</small>
          </h2>
          <Code label="A call to make" text={CURL} />
        </section>
        <aside class="c4 panel" aria-label="Seen so far" aria-live="polite">
          <h2>Seen so far</h2>
          <ol class="steps">
            <li>
              <State icon={account ? 'done' : 'wait'} is={account ? 'ok' : 'dim'}>
                {account ? `The collector is up, started ${ago(status.data?.started ?? '', status.data?.now ?? '')}` : 'The collector does not answer'}
              </State>
            </li>
            <li>
              <State icon={account && account.received > 0 ? 'done' : 'wait'} is={account && account.received > 0 ? 'ok' : 'dim'}>
                {account && account.received > 0 ? `${num(account.received)} spans have come` : 'No span has come yet'}
              </State>
            </li>
            <li>
              <State icon="wait" is="dim">
                No call of yours is stored yet
              </State>
            </li>
          </ol>
        </aside>
      </div>
      <section>
        <h2>Nothing arrives?</h2>
        <dl class="kv">
          <dt>No span has come</dt>
          <dd>
            The agent's <code>export.collector</code> must be the gRPC port, <code>http://{HOST}:4317</code>, and its <code>/metrics</code> (port 4101)
            counts what passes: if nothing does, the client still talks to the provider.
          </dd>
          <dt>Spans have come, no call</dt>
          <dd>
            They may be spans of something else, or of another tenant's token; what was refused is in <a href="/gaps">Not in the numbers</a>.
          </dd>
          <dt>A call, but no cost</dt>
          <dd>
            It is in <a href="/gaps">Not in the numbers</a>, with the reason.
          </dd>
        </dl>
      </section>
    </>
  );
}
