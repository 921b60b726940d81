// Calls, the newest first: live while nothing holds it, a page after another behind that.

import { useEffect, useState } from 'preact/hooks';
import { useApi, type Calls, type Span } from './api';
import { isZone, ownZone } from './calendar';
import { Filter, Zones } from './controls';
import { day, local, Money, num, picos, seconds } from './format';
import { Name, None, Seg, State, Table, Told, Unpriced } from './parts';
import { LIVE_MS, ONCE } from './rhythm';
import { go, withParams, type Place } from './url';

const SLOW_MS = '10000';
// Pixels of the longest duration.
const BAR = 96;
const APART = ['user', 'session', 'trace', 'response_id'] as const;

const QUICK = [
  { value: '', text: 'All' },
  { value: 'failed', text: 'Failed' },
  { value: 'unpriced', text: 'Unpriced' },
  { value: 'estimated', text: 'Estimated' },
  { value: 'slow', text: 'Slow' },
  { value: 'uncounted', text: 'Not counted' },
];

const PASSED = ['match', 'only', 'slower_ms', 'from', 'to', 'zone', 'after', ...APART] as const;

export function CallsView(props: { place: Place }) {
  const { place } = props;
  const { params } = place;
  const named = params.get('zone') ?? '';
  const zone = isZone(named) && named ? named : ownZone();
  const [isHeld, setIsHeld] = useState(false);
  const after = params.get('after') ?? '';
  const asked = new URLSearchParams();
  for (const name of PASSED) if (params.get(name)) asked.set(name, params.get(name) ?? '');
  const isLive = !after && !isHeld && !params.get('to');
  const question = asked.toString();
  const subject = [...asked].filter(([name]) => name !== 'after').join('\n') + after;
  const calls = useApi<Calls>('/api/v1/calls', question, subject, isLive ? LIVE_MS : ONCE);
  useEffect(() => {
    document.title = 'Calls \u00b7 Ledgerline';
  }, []);
  const set = (changes: Record<string, string>, isInstead = false) => go(withParams(place, { after: '', ...changes }), isInstead);
  const flip = () => {
    setIsHeld(!isHeld);
    if (isHeld) calls.again();
  };
  const quick = params.get('slower_ms') ? 'slow' : (params.get('only') ?? '');
  const { data } = calls;
  const from = params.get('from');
  const through = data ? local(data.through, zone) : null;
  return (
    <>
      <header>
        <div>
          <h1>Calls</h1>
          <p>
            Newest first
            {from && (
              <>
                , since {moment(from, zone)} (<a href={withParams(place, { from: '', to: '', after: '' })}>of any time</a>)
              </>
            )}
            {through ? `, through ${day(through.date)}, ${through.clock}` : ''}, {zone}
          </p>
        </div>
        <div class="tools">
          {!after && !params.get('to') && (
            <button type="button" data-key="p" aria-pressed={!isHeld} onClick={flip}>
              <span class={isHeld ? 'live off' : 'live'} /> {isHeld ? 'Held' : 'Live'} <kbd>p</kbd>
            </button>
          )}
          <Zones zone={zone} pick={(to) => set({ zone: to }, true)} />
        </div>
      </header>
      <Filter
        match={params.get('match') ?? ''}
        apart={Object.fromEntries(APART.map((name) => [name, params.get(name) ?? '']))}
        hint="team=search user=ada session=s-1 trace=4bf9... response_id=resp_1"
        apply={(match, apart) => set({ match, ...apart })}
      />
      <Seg
        label="Which calls"
        of={QUICK}
        at={quick}
        pick={(to) => set(to === 'slow' ? { only: '', slower_ms: SLOW_MS } : { only: to, slower_ms: '' })}
      />
      <Told answer={calls} what="The calls" since={through?.clock} />
      {data && <List calls={data.calls} zone={zone} hold={() => setIsHeld(true)} />}
      {data && (data.next || after) && (
        <p class="tools">
          {after && (
            <button type="button" onClick={() => set({})}>
              The newest
            </button>
          )}
          {data.next && (
            <button type="button" data-key="]" onClick={() => set({ after: data.next ?? '' })}>
              Older <kbd>]</kbd>
            </button>
          )}
        </p>
      )}
    </>
  );
}

// As a link states it: with an offset, or by the clocks of the zone.
function moment(text: string, zone: string): string {
  if (!/T.*(Z|[+-]\d\d:\d\d)$/.test(text) || Number.isNaN(Date.parse(text))) return text;
  const { date, clock } = local(text, zone);
  return `${day(date)} ${date.slice(0, 4)}, ${clock}`;
}

export const addressOf = (span: { trace_id: string; span_id: string }, zone: string): string =>
  `/calls/${span.trace_id}/${span.span_id}?zone=${encodeURIComponent(zone)}`;

// What it costs by what is booked, or why that is no number.
export function Cost(props: { span: Span }) {
  const { span } = props;
  if (span.booked === 'never') return <span class="dim">{span.uncounted ?? 'taken back'}</span>;
  if (span.booked !== 'once') return <span class="tag">{span.booked}</span>;
  if (span.not_billed) return <span class="dim">not billed</span>;
  if (span.unpriced || span.cost_usd == null) return <Unpriced why={span.unpriced ?? ''} />;
  return <Money of={picos(span.cost_usd)} estimated={span.usage_source === 'estimated'} />;
}

export const tokens = (count: number | null | undefined) => (count === null || count === undefined ? <span class="dim">not known</span> : num(count));

export function End(props: { span: Span }) {
  const { span } = props;
  const error = span.labels.error_type;
  if (span.labels.status === 'error') {
    return (
      <State icon="firing" is="bad">
        <Name of={error || (span.http_status ? String(span.http_status) : 'failed')} none="failed" />
      </State>
    );
  }
  return <span class="dim">{(span.end ?? '').replace('_', ' ')}</span>;
}

function List(props: { calls: Span[]; zone: string; hold: () => void }) {
  const { calls, zone, hold } = props;
  const longest = Math.max(1, ...calls.map((span) => span.duration_us ?? 0));
  const today = local(new Date().toISOString(), zone).date;
  const time = (span: Span) => {
    const { date, clock } = local(span.ended, zone);
    return (
      <a href={addressOf(span, zone)}>
        <code>{date === today ? clock : `${date.slice(5)} ${clock}`}</code>
      </a>
    );
  };
  const bar = (span: Span) => (
    <svg width={BAR} height={12} aria-hidden="true">
      <rect class="track" y={2} width={BAR} height={8} />
      <rect class="fill q" y={2} width={(BAR * (span.duration_us ?? 0)) / longest} height={8} />
      {span.first_token_us != null && <rect class="mark" x={((BAR - 1) * span.first_token_us) / longest} width={1} height={12} />}
    </svg>
  );
  const asked = (span: Span): string => (span.request_model && span.request_model !== span.labels.model ? span.request_model : '');
  return (
    <section onFocusIn={(event) => event.target instanceof HTMLAnchorElement && event.target.matches(':focus-visible') && hold()}>
      <Table
        is="calls"
        label="Calls"
        open={(span) => go(addressOf(span, zone))}
        rows={calls}
        rowKey={(span) => `${span.trace_id}/${span.span_id}/${span.ended}`}
        empty="no such call is stored; spans are kept for 90 days"
        columns={[
          { head: 'time', cell: time },
          {
            head: 'service, feature',
            cell: (span) => (
              <>
                <Name of={span.labels.service} none="(no service)" />
                <small>
                  <Name of={span.labels.feature} none="" />
                </small>
              </>
            ),
          },
          { head: 'team', is: 'p3', cell: (span) => <Name of={span.labels.team} none="(none)" /> },
          {
            head: 'model',
            cell: (span) => (
              <>
                <Name of={span.labels.model} none="(no model)" />
                {asked(span) && (
                  <small>
                    asked: <Name of={asked(span)} none="" />
                  </small>
                )}
              </>
            ),
          },
          { head: 'tokens in', is: 'n p2', cell: (span) => tokens(span.input_tokens) },
          { head: 'counted by', is: 'p4', cell: (span) => <span class="dim">{span.usage_source ?? ''}</span> },
          { head: 'out', is: 'n p2', cell: (span) => tokens(span.output_tokens) },
          { head: 'cost, USD', is: 'n', cell: (span) => <Cost span={span} /> },
          { head: 'seconds', is: 'n', cell: (span) => (span.duration_us == null ? <None /> : seconds(span.duration_us)) },
          { head: 'duration, first token marked', is: 'p4 wrap', cell: bar },
          { head: 'end', cell: (span) => <End span={span} /> },
        ]}
      />
    </section>
  );
}
