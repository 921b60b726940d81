// One call: what it cost line by line, what is known of it, and its trace.

import { useEffect } from 'preact/hooks';
import { useApi, type Bill, type Call, type Span } from './api';
import { isZone, ownZone } from './calendar';
import { addressOf, Cost, End, tokens } from './calls';
import { day, local, Money, num, percent, picos, seconds } from './format';
import { Name, None, Table, Told, Unpriced } from './parts';
import { ONCE } from './rhythm';
import type { Place } from './url';

export function CallView(props: { place: Place; trace: string; span: string }) {
  const { place, trace, span } = props;
  const named = place.params.get('zone') ?? '';
  const zone = isZone(named) && named ? named : ownZone();
  const found = useApi<Call>(`/api/v1/calls/${trace}/${span}`, '', `${trace}/${span}`, ONCE);
  const { data } = found;
  useEffect(() => {
    document.title = 'Call \u00b7 Ledgerline';
  }, []);
  return (
    <>
      <header>
        <div>
          <p>
            <a href={`/calls?zone=${encodeURIComponent(zone)}`}>Calls</a> / <code>{span}</code>
          </p>
          <h1>
            {data ? (
              <>
                <Name of={data.call.labels.model} none={data.call.name || 'Call'} />
                {data.call.labels.operation ? `, ${data.call.labels.operation}` : ''}
              </>
            ) : (
              'Call'
            )}
          </h1>
          {data && <Head call={data} zone={zone} />}
        </div>
      </header>
      <Told answer={found} what="The call" />
      {data && (
        <>
          <Figures call={data} />
          <div class="cols">
            <TheBill call={data} />
            <Facts call={data} />
          </div>
          <Corrections call={data} />
          <Trace call={data} zone={zone} />
        </>
      )}
    </>
  );
}

function Head(props: { call: Call; zone: string }) {
  const { call } = props.call;
  const { date, clock } = local(call.started, props.zone);
  return (
    <p>
      <End span={call} /> {'\u00b7'} <bdi>{[call.labels.service, call.labels.feature].filter(Boolean).join(', ') || '(no service)'}</bdi> {'\u00b7'} {day(date)}{' '}
      {date.slice(0, 4)}, {clock}, {props.zone}
    </p>
  );
}

function Figures(props: { call: Call }) {
  const { call, facts } = props.call;
  const cached = facts.units.cache_read ?? 0;
  const reasoning = facts.units.output_reasoning ?? 0;
  const isExact = call.usage_source === 'provider' || call.usage_source === 'drained' || call.usage_source === 'counted';
  const rest = call.duration_us != null && call.first_token_us != null ? call.duration_us - call.first_token_us : 0;
  return (
    <dl class="figs">
      <div class="all-n">
        <dt>Cost</dt>
        <dd>
          <Cost span={call} />
        </dd>
        <dd>
          {isExact ? 'exact, ' : ''}tokens counted by: {call.usage_source ?? 'nobody'}
        </dd>
      </div>
      <div>
        <dt>Duration</dt>
        <dd>{call.duration_us == null ? <small>not known</small> : `${seconds(call.duration_us)} s`}</dd>
        <dd>{call.is_stream ? 'streamed' : 'in one piece'}</dd>
      </div>
      <div>
        <dt>First token</dt>
        <dd>{call.first_token_us == null ? <small>not known</small> : `${seconds(call.first_token_us)} s`}</dd>
        <dd>{rest > 0 && call.output_tokens ? `then ${Math.round(call.output_tokens / (rest / 1e6))} tokens a second` : ''}</dd>
      </div>
      <div>
        <dt>Tokens in</dt>
        <dd>{tokens(call.input_tokens)}</dd>
        <dd>{cached > 0 ? `${percent(cached, call.input_tokens ?? 0)} from the cache` : ''}</dd>
      </div>
      <div>
        <dt>Tokens out</dt>
        <dd>{tokens(call.output_tokens)}</dd>
        <dd>{reasoning > 0 ? `${num(reasoning)} of them reasoning` : ''}</dd>
      </div>
    </dl>
  );
}

// `isBooked`: it stands in the sums; the total of another is none.
function Lines(props: { label: string; bill: Bill; isBooked: boolean }) {
  const { bill, isBooked } = props;
  return (
    <Table
      is={isBooked ? '' : 'alone'}
      label={props.label}
      rows={bill.lines.map((line, at) => ({ ...line, at }))}
      rowKey={(line) => String(line.at)}
      empty={bill.not_billed ? `not billed: ${bill.not_billed}` : 'nobody knows what was used'}
      columns={[
        {
          head: 'unit',
          cell: (line) => (
            <>
              {line.unit.replaceAll('_', ' ')}
              {line.model !== bill.model && (
                <small>
                  <bdi>{line.model}</bdi>
                </small>
              )}
            </>
          ),
          foot: isBooked ? 'All' : 'It would be',
        },
        { head: 'quantity', is: 'n', cell: (line) => num(line.quantity) },
        { head: 'arithmetic', is: 'p2', cell: (line) => <code>{line.arithmetic.replaceAll(' x ', ' \u00d7 ').replaceAll(' / ', ' \u00f7 ')}</code> },
        {
          head: 'USD',
          is: 'n',
          cell: (line) => (line.amount_usd == null ? <Unpriced /> : <Money of={picos(line.amount_usd)} />),
          foot: bill.cost_usd == null ? <Unpriced why={bill.unpriced ?? ''} /> : <Money of={picos(bill.cost_usd)} />,
        },
        { head: 'rule', is: 'p3', cell: (line) => <code>{line.rule ?? ''}</code> },
      ]}
    />
  );
}

function whyNot({ corrections, not_booked: reason }: Call['account']): string {
  const why = `(${reason ?? ''}): another span tells of this call, or it stands above one.`;
  return corrections.length > 0
    ? `Taken back by a correction ${why} In the sums it now costs nothing; alone it would be:`
    : `Not in the sums ${why} Alone it would be:`;
}

function TheBill(props: { call: Call }) {
  const { account } = props.call;
  const bill = account.booked ?? account.present_book;
  const state = {
    same: null,
    changed: 'The present price book says something else; `reprice` books the difference.',
    not_booked: whyNot(account),
    unclear: 'Booked several times, or not whole. The present price book says:',
  }[account.state];
  return (
    <section class="c8">
      <h2>
        Bill<small>{'USD: quantity \u00d7 price \u00f7 per \u00d7 conditions, at most one rounding a line'}</small>
      </h2>
      {state && <p class="note w">{state}</p>}
      <Lines label="Bill" bill={bill} isBooked={account.booked != null} />
      {account.price_version && (
        <p class="s dim">
          Booked with price book <code>{account.price_version}</code>
        </p>
      )}
      {account.state === 'changed' && (
        <>
          <h2>By the present price book</h2>
          <Lines label="Bill by the present price book" bill={account.present_book} isBooked={false} />
        </>
      )}
      {account.reported_cost_usd && (
        <p>
          Stated with the call: <Money of={picos(account.reported_cost_usd)} currency />
          {account.computed_cost_usd ? (
            <>
              ; the price book computes <Money of={picos(account.computed_cost_usd)} currency />
            </>
          ) : (
            '; the price book knows no price'
          )}
        </p>
      )}
    </section>
  );
}

// Ours are words; what a sender has named keeps its letters.
const words = ([name, value]: [string, string]): [string, string] => [name.replaceAll('_', ' '), value];

function Facts(props: { call: Call }) {
  const { call, facts } = props.call;
  const known: [string, string][] = [
    ...Object.entries(call.labels).map(words),
    ['asked for', call.request_model],
    ['answered by', call.response_model],
    ['response id', facts.response_id],
    ['finish', facts.finish_reasons.join(', ')],
    ['HTTP status', call.http_status == null ? '' : String(call.http_status)],
    ['end', (call.end ?? '').replace('_', ' ')],
    ['user', call.user],
    ['session', call.session],
    ['seen by', call.observer],
    ['trace', call.trace_id],
    ...Object.entries(facts.conditions).map(words),
    ...Object.entries(facts.attributes),
  ];
  return (
    <section class="c4">
      <h2>Facts</h2>
      <dl class="kv">
        {known
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <>
              <dt key={name}>
                <bdi>{name}</bdi>
              </dt>
              <dd>
                <bdi>{value}</bdi>
              </dd>
            </>
          ))}
      </dl>
      {facts.usage_object && (
        <details>
          <summary>The provider's usage object</summary>
          <pre class="code">
            <code>{facts.usage_object}</code>
          </pre>
        </details>
      )}
    </section>
  );
}

function Corrections(props: { call: Call }) {
  const { corrections } = props.call.account;
  if (corrections.length === 0) return null;
  return (
    <section>
      <h2>
        Corrections<small>already in the sums</small>
      </h2>
      <Table
        label="Corrections"
        rows={corrections.map((one, at) => ({ ...one, at }))}
        rowKey={(one) => String(one.at)}
        columns={[
          { head: 'booked at, UTC', cell: (one) => <code>{one.booked_at}</code> },
          { head: 'why', cell: (one) => one.reason },
          { head: 'what', is: 'p2', cell: (one) => (one.sign < 0 ? 'takes back' : 'books') },
          {
            head: 'USD',
            is: 'n',
            cell: (one) =>
              one.cost_usd == null ? <Unpriced why={one.unpriced ?? ''} /> : <Money of={picos(one.cost_usd) * BigInt(one.sign)} signed />,
          },
          { head: 'price book', is: 'p2', cell: (one) => <code>{one.price_version}</code> },
        ]}
      />
    </section>
  );
}

interface Step {
  span: Span;
  depth: number;
}

// Each below its caller, in the order in which they began.
function steps(spans: Span[]): Step[] {
  const known = new Set(spans.map((span) => span.span_id));
  const below = new Map<string, Span[]>();
  for (const span of spans) {
    const parent = span.parent_span_id && known.has(span.parent_span_id) && span.parent_span_id !== span.span_id ? span.parent_span_id : '';
    below.set(parent, [...(below.get(parent) ?? []), span]);
  }
  const found: Step[] = [];
  const seen = new Set<Span>();
  const walk = (parent: string, depth: number) => {
    for (const span of below.get(parent) ?? []) {
      if (seen.has(span)) continue;
      seen.add(span);
      found.push({ span, depth });
      walk(span.span_id, depth + 1);
    }
  };
  walk('', 0);
  // Those that call each other in a circle.
  for (const span of spans) if (!seen.has(span)) found.push({ span, depth: 0 });
  return found;
}

const ms = (time: string): number => new Date(time).getTime();

function Trace(props: { call: Call; zone: string }) {
  const { call, trace, trace_cost_usd: sum, trace_unpriced: unpriced, is_trace_cut: isCut } = props.call;
  const begin = Math.min(...trace.map((span) => ms(span.started)));
  const whole = Math.max(1, ...trace.map((span) => ms(span.ended) - begin));
  const bar = ({ span }: Step) => {
    const from = (100 * (ms(span.started) - begin)) / whole;
    const width = Math.max(0.4, (100 * (ms(span.ended) - ms(span.started))) / whole);
    return (
      <svg width="100%" height={12} aria-hidden="true">
        <rect class="track" y={5} width="100%" height={2} />
        <rect class={`fill ${span.booked === 'once' ? '' : 'q'}`} x={`${from}%`} width={`${width}%`} y={2} height={8} />
      </svg>
    );
  };
  return (
    <section>
      <h2>
        Trace<small>a wrapper repeats its calls and is not counted{isCut ? '; only the first spans of it are shown' : ''}</small>
      </h2>
      <Table
        is="wf"
        label="Trace"
        rows={steps(trace)}
        rowKey={({ span }) => `${span.span_id}/${span.ended}`}
        columns={[
          {
            head: 'span',
            cell: ({ span, depth }) => (
              <span class={depth === 0 ? '' : depth === 1 ? 'd1' : 'd2'}>
                {span.span_id === call.span_id ? (
                  <b>
                    <Name of={span.name || span.labels.model} none="(no name)" />
                  </b>
                ) : (
                  <a href={addressOf(span, props.zone)}>
                    <Name of={span.name || span.labels.model} none="(no name)" />
                  </a>
                )}
              </span>
            ),
            foot: 'All calls',
          },
          { head: 'when', is: 'wide', cell: bar },
          { head: 'ms', is: 'n', cell: ({ span }) => num(Math.max(0, ms(span.ended) - ms(span.started))) },
          { head: 'tokens in', is: 'n p2', cell: ({ span }) => (span.booked === 'once' ? tokens(span.input_tokens) : <None />) },
          { head: 'out', is: 'n p2', cell: ({ span }) => (span.booked === 'once' ? tokens(span.output_tokens) : <None />) },
          {
            head: 'cost, USD',
            is: 'n',
            cell: ({ span }) => <Cost span={span} />,
            foot: (
              <>
                {unpriced > 0 && picos(sum) === 0n ? 'not known' : <Money of={picos(sum)} />}
                {unpriced > 0 && <small>{num(unpriced)} unpriced</small>}
              </>
            ),
          },
        ]}
      />
    </section>
  );
}
