// What was spent: a stretch of time in a zone, by model and day, by who spends, and what moved. All sums of a page are of one answer.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { ask, useApi, type Spend as Answer, type SpendRow, type SpendTable } from './api';
import { addDays, ownZone, range, thisMonth, thisQuarter, type Range } from './calendar';
import { Stack, type Layer, type Part } from './charts';
import { change, clock, day, dollars, Money, month, num, percent, picos, share, weekday } from './format';
import { Bar, Name, None, Seg, Spark, Table, Told, Unpriced } from './parts';
import { go, useMinute, withParams, type Place } from './url';

const DIMENSIONS = ['team', 'model', 'service', 'feature', 'environment', 'provider'] as const;
const MOVERS = ['team', 'feature', 'model'];
const MOVERS_SHOWN = 5;
const SERIES = 6;
const ASK_AGAIN_SECONDS = 30;

const capital = (name: string): string => name.slice(0, 1).toUpperCase() + name.slice(1);

const sum = (of: bigint[]): bigint => of.reduce((a, b) => a + b, 0n);

const cost = (row: { cost_usd: string }): bigint => picos(row.cost_usd);

const estimated = (row: { estimated_usd: string }): bigint => picos(row.estimated_usd);

const byCost = (a: SpendRow, b: SpendRow): number => (cost(a) < cost(b) ? 1 : cost(a) > cost(b) ? -1 : 0);

const keyOf = (row: SpendRow): string => Object.values(row.labels).join('\n');

const table = (answer: Answer | null, by: string[]): SpendTable | undefined =>
  answer?.tables.find((one) => one.by.length === by.length && by.every((name) => one.by.includes(name)));

// `team=search environment!=dev` as PromQL selects, or a selector as it is.
export function selector(text: string): string {
  if (text.trim().startsWith('{')) return text.trim();
  const matchers = [...text.matchAll(/(\w+)(=~|!~|!=|=)("[^"]*"|[^\s,]+)/g)].map(
    ([, name, operator, value = '']) => `${name}${operator}${value.startsWith('"') ? value : JSON.stringify(value)}`,
  );
  return matchers.length > 0 ? `{${matchers.join(',')}}` : '';
}

function question(zone: string, match: string, stretch: { from: string; to: string }, step: string, tables: string[][]): string {
  const params = new URLSearchParams({ zone, from: stretch.from, to: stretch.to });
  if (match) params.set('match', match);
  if (step) params.set('step', step);
  for (const by of tables) params.append('by', by.join(','));
  return params.toString();
}

export function SpendView(props: { place: Place }) {
  const { place } = props;
  const zone = place.params.get('zone') ?? ownZone();
  const chosen = place.params.get('range') ?? thisMonth(zone);
  const dimension = place.params.get('by') ?? 'team';
  const match = place.params.get('match') ?? '';
  const minute = useMinute();
  const when = useMemo(() => range(chosen, zone), [chosen, zone, minute]);
  const tables = [['model'], [dimension], MOVERS];
  const step = chosen === 'today' ? 'hour' : 'day';
  const subject = [zone, chosen, match, dimension].join('\n');
  const spend = useApi<Answer>('/api/v1/spend', question(zone, match, when, step, tables), subject, ASK_AGAIN_SECONDS);
  const before = useApi<Answer>('/api/v1/spend', question(zone, match, when.before, '', [[dimension], MOVERS]), subject);
  const set = (changes: Record<string, string>) => go(withParams(place, changes));
  useEffect(() => {
    document.title = 'Spend \u00b7 Ledgerline';
  }, []);
  return (
    <>
      <header>
        <div>
          <h1>Spend</h1>
          <p>
            {when.label}
            {spend.data ? `, through ${clock(spend.data.through)}` : ''}, {zone}, USD
          </p>
        </div>
        <div class="tools">
          <Ranges zone={zone} chosen={chosen} pick={(to) => set({ range: to })} />
          <Zones zone={zone} pick={(to) => set({ zone: to })} />
          <Csv query={question(zone, match, when, '', [[dimension]])} />
        </div>
      </header>
      <Filter match={match} apply={(to) => set({ match: to })} />
      <Told answer={spend} what="The spend" />
      <Figures spend={spend.data} zone={zone} match={match} />
      {spend.data && (
        <>
          <Days spend={spend.data} when={when} step={step} />
          <Who
            spend={spend.data}
            before={before.data}
            dimension={dimension}
            beforeLabel={when.before.label}
            pick={(to) => set({ by: to })}
          />
          {before.data && <Moved spend={spend.data} before={before.data} label={when.before.label} />}
        </>
      )}
    </>
  );
}

function Ranges(props: { zone: string; chosen: string; pick: (range: string) => void }) {
  const { zone, chosen, pick } = props;
  const current = thisMonth(zone);
  const of = [
    { value: 'today', text: 'Today' },
    { value: '7d', text: '7 days' },
    { value: current, text: month(`${current}-01`) },
    { value: thisQuarter(zone), text: 'Quarter', is: 'p2' },
  ];
  const isOther = !of.some((one) => one.value === chosen);
  const move = (months: number): string => {
    const at = new Date(`${/^\d{4}-\d{2}$/.test(chosen) ? chosen : current}-01T00:00:00Z`);
    at.setUTCMonth(at.getUTCMonth() + months);
    return at.toISOString().slice(0, 7);
  };
  return (
    <>
      <button type="button" data-key="[" aria-label="Month before" onClick={() => pick(move(-1))}>
        {'\u2039'}
      </button>
      <Seg label="Range" of={isOther ? [...of, { value: chosen, text: chosen }] : of} at={chosen} pick={pick} />
      <button type="button" data-key="]" aria-label="Month after" onClick={() => pick(move(1))}>
        {'\u203a'}
      </button>
    </>
  );
}

function Zones(props: { zone: string; pick: (zone: string) => void }) {
  const known = Intl.supportedValuesOf('timeZone');
  const zones = [...new Set(['UTC', props.zone, ...known])];
  return (
    <label>
      <span class="sr">Time zone</span>
      <select value={props.zone} onChange={(event) => props.pick(event.currentTarget.value)}>
        {zones.map((zone) => (
          <option key={zone}>{zone}</option>
        ))}
      </select>
    </label>
  );
}

function Csv(props: { query: string }) {
  const [problem, setProblem] = useState('');
  const save = async () => {
    try {
      const params = new URLSearchParams(props.query);
      params.set('format', 'csv');
      const response = await ask('/api/v1/spend', params);
      const name = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? 'spend.csv';
      const link = document.createElement('a');
      link.href = URL.createObjectURL(await response.blob());
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
      setProblem('');
    } catch {
      setProblem('The file cannot be read.');
    }
  };
  return (
    <>
      <button type="button" data-key="e" onClick={save}>
        CSV <kbd>e</kbd>
      </button>
      {problem && (
        <span class="bad" role="alert">
          {problem}
        </span>
      )}
    </>
  );
}

function Filter(props: { match: string; apply: (match: string) => void }) {
  const [text, setText] = useState(props.match);
  useEffect(() => setText(props.match), [props.match]);
  return (
    <form
      class="tools"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        props.apply(selector(text));
      }}
    >
      <label class="field">
        <span class="sr">Filter</span>
        <input value={text} placeholder="team=search environment=production" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
        <kbd>/</kbd>
      </label>
      {props.match && (
        <button type="button" onClick={() => props.apply('')}>
          All calls
        </button>
      )}
    </form>
  );
}

function Figures(props: { spend: Answer | null; zone: string; match: string }) {
  const { spend, zone, match } = props;
  const minute = useMinute();
  const today = useMemo(() => range('today', zone), [zone, minute]);
  const subject = [zone, match].join('\n');
  const hours = useApi<Answer>('/api/v1/spend', question(zone, match, today, 'hour', [[]]), subject, ASK_AGAIN_SECONDS);
  const before = useApi<Answer>('/api/v1/spend', question(zone, match, today.before, '', [[]]), subject);
  const total = spend?.total;
  const sk = <span class="sk" />;
  const exact = total ? cost(total) - estimated(total) : 0n;
  return (
    <dl class="figs">
      <div class="all-n">
        <dt>Spend</dt>
        <dd>{total ? <Money of={cost(total)} currency /> : sk}</dd>
        <dd>
          {total && (
            <>
              exact <Money of={exact} />
              <br />
              estimated {estimated(total) === 0n ? <None /> : <Money of={estimated(total)} estimated />}
              {estimated(total) === 0n ? '' : `, ${share(estimated(total), cost(total))}`}
            </>
          )}
        </dd>
      </div>
      <div>
        <dt>
          Today <Spark of={hours.data?.total.parts?.map((part) => dollars(cost(part))) ?? []} />
        </dt>
        <dd>{hours.data ? <Money of={cost(hours.data.total)} currency /> : sk}</dd>
        <dd>{hours.data && before.data ? `${change(cost(hours.data.total), cost(before.data.total)) || 'nothing, as'} on ${weekday(today.before.from)} ${day(today.before.from)} by ${today.before.to.slice(11)}` : ''}</dd>
      </div>
      <div>
        <dt>Calls</dt>
        <dd>{total ? num(total.calls) : sk}</dd>
        <dd>{total ? `${num(total.failed_calls)} failed, ${percent(total.failed_calls, total.calls)}` : ''}</dd>
      </div>
      <div>
        <dt>Corrected</dt>
        <dd>{total ? <Money of={picos(total.corrections_usd)} currency signed /> : sk}</dd>
        <dd>in the sums already</dd>
      </div>
      <div>
        <dt>Not in these sums</dt>
        <dd>
          {total ? num(total.unpriced_calls) : sk} <small>calls unpriced</small>
        </dd>
        <dd>{total && total.unpriced_calls > 0 ? 'their cost is unknown, and never 0' : 'every call has a price'}</dd>
      </div>
    </dl>
  );
}

function Days(props: { spend: Answer; when: Range; step: string }) {
  const { spend, when, step } = props;
  const [at, setAt] = useState(-1);
  const rows = [...(table(spend, ['model'])?.rows ?? [])].filter((row) => cost(row) !== 0n).sort(byCost);
  const exactOf = (row: SpendRow): bigint[] => (row.parts ?? []).map((part) => cost(part) - estimated(part));
  const count = spend.parts?.length ?? 0;
  const zeros = Array.from({ length: count }, () => 0n);
  const add = (of: bigint[][]): bigint[] => of.reduce((all, one) => all.map((value, part) => value + (one[part] ?? 0n)), zeros);
  const shown = rows.length > SERIES ? rows.slice(0, SERIES - 1) : rows;
  const rest = rows.slice(shown.length);
  const series: { name: string; is: string; of: bigint[]; isEstimated?: boolean }[] = shown.map((row, place) => ({
    name: row.labels.model || '(no model)',
    is: `f${place + 1}`,
    of: exactOf(row),
  }));
  if (rest.length > 0) series.push({ name: `${rest.length} other models`, is: 'f6', of: add(rest.map(exactOf)) });
  const unsure = add(rows.map((row) => (row.parts ?? []).map(estimated)));
  if (unsure.some((value) => value !== 0n)) series.push({ name: 'estimated, all models', is: 'hatch', of: unsure, isEstimated: true });
  const begins = spend.parts ?? [];
  const parts: Part[] = begins.map((begin, place) => ({
    label: step === 'hour' ? begin.slice(11, 16) : `${weekday(begin)} ${Number(begin.slice(8, 10))}`,
    isNow: place === count - 1 && spend.through < spend.to,
  }));
  if (step === 'day' && begins.length > 0) {
    const last = begins[begins.length - 1]?.slice(0, 10) ?? when.to;
    for (let next = addDays(last, 1); next < when.to; next = addDays(next, 1)) {
      parts.push({ label: `${weekday(next)} ${Number(next.slice(8, 10))}` });
    }
  }
  const layers: Layer[] = series.map((one) => ({ name: one.name, is: one.is, values: one.of.map(dollars) }));
  const value = (one: { of: bigint[] }): bigint => (at < 0 || at >= count ? sum(one.of) : (one.of[at] ?? 0n));
  const read = begins[at];
  const head = at < 0 || !read ? when.label : step === 'hour' ? `from ${read.slice(11, 16)}` : `${weekday(read)} ${day(read)}`;
  return (
    <section>
      <h2>
        {step === 'hour' ? 'Each hour' : 'Each day'}, by model<small>USD; arrow keys read a bar</small>
      </h2>
      <div class="stackfig">
        <Stack label="Spend by model" layers={layers} parts={parts} at={at} pick={setAt} />
        <div aria-live="polite">
          <Table
            label="Spend by model"
            rows={[...series].reverse()}
            rowKey={(one) => one.name}
            empty="nothing was spent"
            columns={[
              {
                head,
                cell: (one) => (
                  <>
                    <svg width={10} height={10} class="sw" aria-hidden="true">
                      <rect class={one.is} width={10} height={10} />
                    </svg>
                    <bdi>{one.name}</bdi>
                  </>
                ),
                foot: 'All',
              },
              {
                head: 'USD',
                is: 'n cut',
                cell: (one) => <Money of={value(one)} estimated={one.isEstimated ?? false} />,
                foot: <Money of={sum(series.map(value))} />,
              },
            ]}
          />
        </div>
      </div>
    </section>
  );
}

function Who(props: { spend: Answer; before: Answer | null; dimension: string; beforeLabel: string; pick: (by: string) => void }) {
  const { spend, before, dimension, beforeLabel, pick } = props;
  const rows = [...(table(spend, [dimension])?.rows ?? [])].sort(byCost);
  const old = new Map((table(before, [dimension])?.rows ?? []).map((row) => [keyOf(row), cost(row)]));
  const total = spend.total;
  const priced = (row: { calls: number; unpriced_calls: number }): number => row.calls - row.unpriced_calls;
  const each = (row: SpendRow | Answer['total']): string =>
    priced(row) > 0 ? ((dollars(cost(row)) * 1000) / priced(row)).toFixed(2) : '';
  return (
    <section>
      <h2>
        Who spends<small>USD; changes are on {beforeLabel}</small>
      </h2>
      <Seg label="Group by" of={DIMENSIONS.map((name, at) => ({ value: name, text: capital(name), is: at > 3 ? 'p2' : '' }))} at={dimension} pick={pick} />
      <Table
        label={`Spend by ${dimension}`}
        rows={rows}
        rowKey={keyOf}
        empty="nobody called"
        columns={[
          { head: dimension, cell: (row) => <Name of={row.labels[dimension]} none="(none)" />, foot: 'All' },
          {
            head: 'spend',
            is: 'n cut',
            cell: (row) => (priced(row) > 0 || row.calls === 0 ? <Money of={cost(row)} /> : <Unpriced />),
            foot: <Money of={cost(total)} />,
          },
          {
            head: 'of it estimated',
            is: 'n p3',
            cell: (row) => (estimated(row) === 0n ? <None /> : <Money of={estimated(row)} estimated />),
            foot: estimated(total) === 0n ? 'none' : <Money of={estimated(total)} estimated />,
          },
          {
            head: 'share',
            is: 'p2',
            cell: (row) => (
              <span class="st">
                <Bar percent={(100 * Number(cost(row))) / Number(cost(total) || 1n)} width={56} />
                {share(cost(row), cost(total))}
              </span>
            ),
          },
          {
            head: 'change',
            is: 'n p2',
            cell: (row) => (before ? change(cost(row), old.get(keyOf(row)) ?? 0n) : ''),
            foot: before ? change(cost(total), cost(before.total)) : '',
          },
          { head: 'over time', is: 'p3', cell: (row) => <Spark of={(row.parts ?? []).map((part) => dollars(cost(part)))} /> },
          { head: 'calls', is: 'n p2', cell: (row) => num(row.calls), foot: num(total.calls) },
          { head: 'per 1,000', is: 'n p3', cell: each, foot: each(total) },
          { head: 'failed', is: 'n p3', cell: (row) => percent(row.failed_calls, row.calls), foot: percent(total.failed_calls, total.calls) },
          {
            head: 'unpriced',
            is: 'n p2',
            cell: (row) => (row.unpriced_calls > 0 ? num(row.unpriced_calls) : <None />),
            foot: num(total.unpriced_calls),
          },
        ]}
      />
    </section>
  );
}

interface Move {
  names: string[];
  now: bigint;
  before: bigint;
}

const size = (move: Move): bigint => (move.now > move.before ? move.now - move.before : move.before - move.now);

// The largest changes, and the rest in one: the lines add up to the whole change.
export function moves(now: SpendRow[], before: SpendRow[], by: string[]): Move[] {
  const all = new Map<string, Move>();
  const at = (row: SpendRow): Move => {
    const move = all.get(keyOf(row)) ?? { names: by.map((name) => row.labels[name] ?? ''), now: 0n, before: 0n };
    all.set(keyOf(row), move);
    return move;
  };
  for (const row of now) at(row).now += cost(row);
  for (const row of before) at(row).before += cost(row);
  const sorted = [...all.values()].filter((move) => size(move) > 0n || move.now > 0n).sort((a, b) => (size(a) < size(b) ? 1 : -1));
  const rest = sorted.slice(MOVERS_SHOWN);
  const shown = sorted.slice(0, MOVERS_SHOWN);
  if (rest.length > 0) {
    shown.push({ names: [`${rest.length} other lines`], now: sum(rest.map((move) => move.now)), before: sum(rest.map((move) => move.before)) });
  }
  return shown;
}

function Moved(props: { spend: Answer; before: Answer; label: string }) {
  const { spend, before, label } = props;
  const rows = moves(table(spend, MOVERS)?.rows ?? [], table(before, MOVERS)?.rows ?? [], MOVERS);
  const most = rows.reduce((most, row) => (row.names.length > 1 && size(row) > most ? size(row) : most), 1n);
  const bar = (move: Move) => {
    const by = move.now - move.before;
    const width = Math.min(79, (75 * Number(size(move))) / Number(most));
    return (
      <svg width={160} height={12} aria-hidden="true">
        <rect class="mark" x={80} width={1} height={12} />
        <rect class={by < 0n ? 'f6' : 'f1'} x={by < 0n ? 80 - width : 81} y={2} height={8} width={width} />
      </svg>
    );
  };
  return (
    <section>
      <h2>
        What moved<small>USD, against {label}; the lines add up to the whole change</small>
      </h2>
      <Table
        label="What moved"
        rows={rows}
        rowKey={(move) => move.names.join('\n')}
        empty="nothing"
        columns={[
          {
            head: 'team, feature, model',
            cell: ({ names }) =>
              names.length === 1 ? (
                names[0]
              ) : (
                <>
                  <Name of={names[0]} none="(no team)" />
                  {names[1] ? ', ' : ''}
                  {names[1] ? <bdi>{names[1]}</bdi> : ''}
                  <small>
                    <Name of={names[2]} none="(no model)" />
                  </small>
                </>
              ),
            foot: 'Whole change',
          },
          { head: 'down or up', is: 'p3', cell: bar },
          {
            head: 'change',
            is: 'n cut',
            cell: (move) => <Money of={move.now - move.before} signed />,
            foot: <Money of={cost(spend.total) - cost(before.total)} signed />,
          },
          { head: 'before', is: 'n p2', cell: (move) => <Money of={move.before} />, foot: <Money of={cost(before.total)} /> },
          { head: 'now', is: 'n p2', cell: (move) => <Money of={move.now} />, foot: <Money of={cost(spend.total)} /> },
          { head: 'in %', is: 'n', cell: (move) => change(move.now, move.before), foot: change(cost(spend.total), cost(before.total)) },
        ]}
      />
    </section>
  );
}
