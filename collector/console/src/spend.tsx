// What was spent: a stretch of time in a zone, by model and day, by who spends, and what moved. All sums of a page are of one answer.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { useApi, type Answer as Asked, type Spend as Answer, type SpendRow } from './api';
import { addDays, isZone, ownZone, range, thisMonth, type Range } from './calendar';
import { Stack, type Layer, type Part } from './charts';
import { Csv, fileName, Filter, Ranges, Zones } from './controls';
import { Budgets } from './budgets';
import { Nothing } from './first';
import { change, clock, day, dollars, Money, month, num, percent, picos, share, usd, weekday } from './format';
import { Name, None, Spark, Table, Told, Unpriced } from './parts';
import { LIVE_MS } from './rhythm';
import { byCost, cost, estimated, isUnpriced, keyOf, sum, table } from './sums';
import { go, useMinute, withParams, type Place } from './url';
import { GROUPINGS, Who } from './who';

const MOVERS = ['team', 'feature', 'model'];
const MOVERS_SHOWN = 5;
const SERIES = 6;

function question(zone: string, match: string, stretch: { from: string; to: string }, step: string, tables: string[][], hasLines = false): string {
  const params = new URLSearchParams({ zone, from: stretch.from, to: stretch.to });
  if (!hasLines) params.set('lines', 'false');
  if (match) params.set('match', match);
  if (step) params.set('step', step);
  for (const by of tables) params.append('by', by.join(','));
  return params.toString();
}

export function SpendView(props: { place: Place }) {
  const { place } = props;
  const zone = place.params.get('zone') || ownZone();
  const chosen = place.params.get('range') || (isZone(zone) ? thisMonth(zone) : '');
  const minute = useMinute();
  const when = useMemo(() => (isZone(zone) ? range(chosen, zone) : null), [chosen, zone, minute]);
  useEffect(() => {
    document.title = 'Spend \u00b7 Ledgerline';
    // So that a link shows the same wherever it is opened, and whenever.
    if (when && !(place.params.get('zone') && place.params.get('range'))) go(withParams(place, { zone, range: chosen }), true);
  }, [place, zone, chosen, when]);
  if (!when) {
    return (
      <>
        <h1>Spend</h1>
        <p class="note" role="alert">
          <b>
            {isZone(zone) ? 'There is no such range: ' : 'There is no such time zone: '}
            <bdi>{isZone(zone) ? chosen : zone}</bdi>.
          </b>{' '}
          <a href="/">This month</a>
        </p>
      </>
    );
  }
  return <SpendOf place={place} zone={zone} chosen={chosen} when={when} />;
}

function SpendOf(props: { place: Place; zone: string; chosen: string; when: Range }) {
  const { place, zone, chosen, when } = props;
  const dimension = GROUPINGS.find((name) => name === place.params.get('by')) ?? 'team';
  const match = place.params.get('match') ?? '';
  const isByUnit = dimension === 'unit';
  const grouped = isByUnit ? [] : [[dimension]];
  const tables = [['model'], ...grouped, MOVERS];
  const step = chosen === 'today' ? 'hour' : 'day';
  const subject = [zone, when.from, when.to, match].join('\n');
  const spend = useApi<Answer>('/api/v1/spend', question(zone, match, when, step, tables, isByUnit), subject);
  const isKnown = spend.data !== null || spend.failure !== null;
  const before = useApi<Answer>('/api/v1/spend', question(zone, match, when.before, '', [...grouped, MOVERS], isByUnit), subject, LIVE_MS, isKnown);
  const set = (changes: Record<string, string>, isInstead = false) => go(withParams(place, changes), isInstead);
  const { data } = spend;
  const isNothing = data !== null && data.total.calls === 0 && match === '';
  const through = data && data.through < data.to ? `, through ${day(data.through)}, ${clock(data.through)}` : '';
  const notices = [...new Set([...(data?.notices ?? []), ...(before.data?.notices ?? [])])];
  const page = (
    <>
      <header>
        <div>
          <h1>Spend</h1>
          <p>
            {when.label}
            {through}, {zone}, USD
          </p>
        </div>
        <div class="tools">
          <Ranges zone={zone} chosen={chosen} pick={(to) => set({ range: to })} />
          <Zones zone={zone} pick={(to) => set({ zone: to }, true)} />
          <Csv
            query={question(zone, match, { from: when.from, to: data?.through ?? when.to }, '', grouped, true)}
            name={fileName(chosen, when, zone, dimension, match)}
          />
        </div>
      </header>
      <Filter match={match} apply={(to) => set({ match: to })} />
      <Told answer={spend} what="The spend" since={data ? clock(data.through) : undefined} />
      {notices.map((notice) => (
        <p class="note" key={notice}>
          {notice.replace(/^PromQL (info|warning): /, '')}
        </p>
      ))}
      <Figures spend={spend} zone={zone} match={match} />
      <Budgets match={match} isDue={isKnown} />
      {data && (
        <>
          <Days spend={data} when={when} step={step} />
          <Who spend={data} before={before.data} dimension={dimension} beforeLabel={when.before.label} pick={(to) => set({ by: to }, true)} />
          {before.data ? (
            <Moved spend={data} before={before.data} label={when.before.label} />
          ) : (
            <section>
              <h2>What moved</h2>
              <Told answer={before} what="The time before" />
            </section>
          )}
        </>
      )}
    </>
  );
  return isNothing ? (
    <Nothing zone={zone} asked={spend.asked} onCall={spend.again}>
      {page}
    </Nothing>
  ) : (
    page
  );
}

function against(now: Answer['total'], before: Answer['total']): string {
  if (isUnpriced(before)) return 'not known on';
  const was = cost(before);
  if (isUnpriced(now)) return was === 0n ? 'nothing on' : '';
  return was !== 0n ? `${change(cost(now), was)} on` : cost(now) === 0n ? 'nothing, as on' : 'nothing on';
}

function Figures(props: { spend: Asked<Answer>; zone: string; match: string }) {
  const { spend, zone, match } = props;
  const minute = useMinute();
  const today = useMemo(() => range('today', zone), [zone, minute]) ?? { from: '', to: '', before: { from: '', to: '' } };
  const subject = [zone, today.from, match].join('\n');
  const isKnown = spend.data !== null || spend.failure !== null;
  const hours = useApi<Answer>('/api/v1/spend', question(zone, match, today, 'hour', [[]]), subject, LIVE_MS, isKnown);
  const before = useApi<Answer>('/api/v1/spend', question(zone, match, today.before, '', [[]]), subject, LIVE_MS, isKnown);
  const total = spend.data?.total;
  // A still bar while it is awaited, and a word where it will not come.
  const gap = (answer: Asked<Answer>) => (answer.failure ? <small>not known</small> : <span class="sk" />);
  const unsure = total ? estimated(total) : 0n;
  const sender = total ? picos(total.sender_usd) : 0n;
  const sums = total && !isUnpriced(total);
  const same = before.data?.from;
  return (
    <dl class="figs">
      <div class="all-n">
        <dt>Spend</dt>
        <dd>{sums ? <Money of={cost(total)} currency /> : total ? <small>not known</small> : gap(spend)}</dd>
        <dd>
          {sums && (
            <>
              counted <Money of={cost(total) - unsure - sender} />
              <br />
              estimated {unsure === 0n ? <None /> : <Money of={unsure} estimated />}
              {unsure === 0n ? '' : `, ${share(unsure, cost(total))}`}
              {sender !== 0n && (
                <>
                  <br />
                  stated by senders <Money of={sender} />
                </>
              )}
            </>
          )}
        </dd>
      </div>
      <div>
        <dt>
          Today <Spark of={hours.data?.total.parts?.map((part) => dollars(cost(part))) ?? []} />
        </dt>
        <dd>{!hours.data ? gap(hours) : isUnpriced(hours.data.total) ? <small>not known</small> : <Money of={cost(hours.data.total)} currency />}</dd>
        <dd>
          {hours.data && before.data && same
            ? `${against(hours.data.total, before.data.total)} ${weekday(same)} ${day(same)} by ${before.data.to.slice(11, 16)}`
            : ''}
        </dd>
      </div>
      <div>
        <dt>Calls</dt>
        <dd>{total ? num(total.calls) : gap(spend)}</dd>
        <dd>{total && total.calls > 0 ? `${num(total.failed_calls)} failed, ${percent(total.failed_calls, total.calls)}` : ''}</dd>
      </div>
      <div>
        <dt>Corrected</dt>
        <dd>{total ? <Money of={picos(total.corrections_usd)} currency signed /> : gap(spend)}</dd>
        <dd>in the sums already</dd>
      </div>
      <div>
        <dt>Not in these sums</dt>
        <dd>
          {total ? num(total.unpriced_calls) : gap(spend)} <small>calls unpriced</small>
        </dd>
        <dd>{total && total.unpriced_calls > 0 ? 'their cost is unknown, and never 0' : ''}</dd>
      </div>
    </dl>
  );
}

interface Series {
  name: string;
  is: string;
  of: bigint[];
  isEstimated?: boolean;
  // In each part.
  isUnpriced?: boolean[];
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
  const series: Series[] = shown.map((row, place) => ({
    name: row.labels.model || '(no model)',
    is: `f${place + 1}`,
    of: exactOf(row),
    isUnpriced: row.parts?.map(isUnpriced) ?? [],
  }));
  if (rest.length > 0) series.push({ name: rest.length === 1 ? '1 other model' : `${rest.length} other models`, is: 'f6', of: add(rest.map(exactOf)) });
  const unsure = add(rows.map((row) => (row.parts ?? []).map(estimated)));
  if (unsure.some((value) => value !== 0n)) series.push({ name: 'estimated, all models', is: 'hatch', of: unsure, isEstimated: true });
  const begins = spend.parts ?? [];
  // Of several months a number does not say which.
  const isLong = addDays(when.from, 31) < when.to;
  const named = (date: string): string =>
    isLong ? `${Number(date.slice(8, 10))} ${month(date).slice(0, 3)}` : `${weekday(date)} ${Number(date.slice(8, 10))}`;
  const parts: Part[] = begins.map((begin, place) => ({
    label: step === 'hour' ? begin.slice(11, 16) : named(begin),
    isNow: place === count - 1 && spend.through < spend.to,
  }));
  if (step === 'day' && begins.length > 0) {
    const last = begins[begins.length - 1]?.slice(0, 10) ?? when.to;
    for (let next = addDays(last, 1); next < when.to; next = addDays(next, 1)) {
      parts.push({ label: named(next) });
    }
  }
  const layers: Layer[] = series.map((one) => ({ name: one.name, is: one.is, values: one.of.map(dollars) }));
  const value = (one: { of: bigint[] }): bigint => (at < 0 ? sum(one.of) : (one.of[at] ?? 0n));
  const looked = at < 0 ? spend.total : (spend.total.parts?.[at] ?? { cost_usd: '0', unpriced_calls: 0 });
  const whole = isUnpriced(looked) ? null : cost(looked);
  const read = begins[at];
  const head = at < 0 || !read ? when.label : step === 'hour' ? `from ${read.slice(11, 16)}` : `${weekday(read)} ${day(read)}`;
  return (
    <section>
      <h2>
        {step === 'hour' ? 'Each hour' : 'Each day'}, by model
        <small>
          USD<span class="keys">; arrow keys read a bar</span>
        </small>
      </h2>
      <div class="stackfig">
        <Stack label="Spend by model" layers={layers} parts={parts} known={count} at={at} pick={setAt} />
        <div>
          <p class="sr" role="status">
            {at < 0 ? '' : `${head}: ${whole === null ? 'not known' : `$${usd(whole)}`}`}
          </p>
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
                is: 'n',
                cell: (one) => (one.isUnpriced?.[at] ? <Unpriced /> : <Money of={value(one)} estimated={one.isEstimated ?? false} />),
                foot: whole === null ? 'not known' : <Money of={whole} />,
              },
            ]}
          />
        </div>
      </div>
    </section>
  );
}

// What was spent of one thing; 0 with `isUnpriced` is not known.
interface Sum {
  cost: bigint;
  isUnpriced: boolean;
}

interface Move {
  names: string[];
  now: Sum;
  before: Sum;
}

const sumOf = (row: { cost_usd: string; unpriced_calls: number }): Sum => ({ cost: cost(row), isUnpriced: isUnpriced(row) });

const added = (of: Sum[]): Sum => {
  const whole = sum(of.map((one) => one.cost));
  return { cost: whole, isUnpriced: whole === 0n && of.some((one) => one.isUnpriced) };
};

const moved = ({ now, before }: Move): bigint => now.cost - before.cost;

const size = (move: Move): bigint => (moved(move) < 0n ? -moved(move) : moved(move));

// The largest changes, and the rest in one: the lines add up to the whole change.
function moves(now: SpendRow[], before: SpendRow[], by: string[]): Move[] {
  const all = new Map<string, Move>();
  const at = (row: SpendRow): Move => {
    const none = { cost: 0n, isUnpriced: false };
    const move = all.get(keyOf(row)) ?? { names: by.map((name) => row.labels[name] ?? ''), now: none, before: none };
    all.set(keyOf(row), move);
    return move;
  };
  for (const row of now) at(row).now = sumOf(row);
  for (const row of before) at(row).before = sumOf(row);
  const sorted = [...all.values()].filter((move) => move.now.cost !== 0n || move.before.cost !== 0n).sort((a, b) => (size(a) < size(b) ? 1 : -1));
  const rest = sorted.slice(MOVERS_SHOWN);
  const shown = sorted.slice(0, MOVERS_SHOWN);
  if (rest.length > 0) {
    const names = [rest.length === 1 ? '1 other line' : `${rest.length} other lines`];
    shown.push({ names, now: added(rest.map((move) => move.now)), before: added(rest.map((move) => move.before)) });
  }
  return shown;
}

const Amount = (props: { of: Sum }) => (props.of.isUnpriced ? <Unpriced /> : <Money of={props.of.cost} />);

function Moved(props: { spend: Answer; before: Answer; label: string }) {
  const { spend, before, label } = props;
  const rows = moves(table(spend, MOVERS)?.rows ?? [], table(before, MOVERS)?.rows ?? [], MOVERS);
  const whole: Move = { names: [], now: sumOf(spend.total), before: sumOf(before.total) };
  const inPercent = (move: Move) => (move.now.isUnpriced || move.before.isUnpriced ? <Unpriced /> : change(move.now.cost, move.before.cost));
  const most = rows.reduce((most, row) => (row.names.length > 1 && size(row) > most ? size(row) : most), 1n);
  const bar = (move: Move) => {
    const by = moved(move);
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
            is: 'n',
            cell: (move) => <Money of={moved(move)} signed />,
            foot: whole.now.isUnpriced && moved(whole) === 0n ? 'not known' : <Money of={moved(whole)} signed />,
          },
          { head: 'before', is: 'n p2', cell: (move) => <Amount of={move.before} />, foot: <Amount of={whole.before} /> },
          { head: 'now', is: 'n p2', cell: (move) => <Amount of={move.now} />, foot: <Amount of={whole.now} /> },
          { head: 'in %', is: 'n', cell: inPercent, foot: inPercent(whole) },
        ]}
      />
    </section>
  );
}
