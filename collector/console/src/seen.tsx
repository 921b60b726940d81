// What the rules of an alert have seen in the last 24 hours: each series as a line, and when the condition held.

import { useApi, type Seen as Answer, type SeenRule, type SeenSeries } from './api';
import { day, local, num, short } from './format';
import { Name, Table, Told } from './parts';

const HEIGHT = 28;

export function Seen(props: { alert: string; zone: string }) {
  const { alert, zone } = props;
  const seen = useApi<Answer>(`/api/v1/alerts/${encodeURIComponent(alert)}`, '', alert);
  return (
    <>
      <Told answer={seen} what="What it has seen" since={seen.data ? local(seen.data.through, zone).clock : undefined} />
      {seen.data?.rules.map((rule) => (
        <OfRule key={rule.group + rule.query} rule={rule} seen={seen.data as Answer} zone={zone} />
      ))}
      {seen.data && seen.data.more_rules > 0 && <p class="s dim">and {num(seen.data.more_rules)} more rules of that name</p>}
    </>
  );
}

function OfRule(props: { rule: SeenRule; seen: Answer; zone: string }) {
  const { rule, seen, zone } = props;
  const first = new Date(seen.from).getTime();
  const at = (place: number) => local(new Date(first + place * seen.step_seconds * 1000).toISOString(), zone);
  const today = local(seen.through, zone).date;
  const clock = (place: number) => {
    const { date, clock } = at(place);
    return date === today ? clock.slice(0, 5) : `${day(date)}, ${clock.slice(0, 5)}`;
  };
  const held = ({ held }: SeenSeries) =>
    held.map(([from = 0, to = from]) => (from === to ? clock(from) : `${clock(from)} to ${clock(to)}`)).join('; ');
  const highest = ({ values }: SeenSeries) => values.reduce<number | null>((most, value) => (value !== null && (most === null || value > most) ? value : most), null);
  const named = ({ labels }: SeenSeries) => Object.entries(labels).map(([name, value]) => `${name}: ${value}`).join(', ');
  return (
    <section>
      <h2>
        The last 24 hours<small>every {num(seen.step_seconds / 60)} minutes, as the record is now</small>
      </h2>
      <p class="s dim">
        It looks at <code>{rule.watched}</code>
        {rule.limit == null ? '' : `, compares that with ${short(rule.limit)}`}
        {rule.for_seconds > 0 ? `, and fires when its condition has held for ${num(rule.for_seconds)} s` : ''}.
      </p>
      <Table
        label="What it has seen"
        rows={rule.series}
        rowKey={(one) => named(one)}
        empty="nothing: no such calls were made"
        columns={[
          { head: 'series', cell: (one) => <Name of={named(one)} none="(without labels)" /> },
          { head: '24 hours', is: 'p2', cell: (one) => <Line series={one} limit={rule.limit ?? null} /> },
          { head: 'highest', is: 'n', cell: (one) => short(highest(one)) },
          { head: 'now', is: 'n', cell: (one) => short(one.values[one.values.length - 1] ?? null) || <span class="dim">none</span> },
          { head: `condition held, ${zone}`, cell: (one) => held(one) || <span class="dim">never</span> },
        ]}
      />
      {rule.more_series > 0 && <p class="s dim">and {num(rule.more_series)} series more, whose values are no higher</p>}
    </section>
  );
}

// A point to each value, and the limit across; a gap is where there was none.
function Line(props: { series: SeenSeries; limit: number | null }) {
  const { limit } = props;
  const { values, held } = props.series;
  const known = [...values, limit].filter((value) => value !== null);
  const [least, most] = [Math.min(0, ...known), Math.max(0, ...known)];
  const y = (value: number): string => (1 + (HEIGHT - 2) * (1 - (value - least) / (most - least || 1))).toFixed(1);
  let isDown = false;
  const path = values.map((value, at) => {
    const move = value === null ? '' : `${isDown ? 'L' : 'M'}${at} ${y(value)}${isDown ? '' : 'h.5'}`;
    isDown = value !== null;
    return move;
  });
  return (
    <svg width={values.length} height={HEIGHT} aria-hidden="true">
      {held.map(([from = 0, to = from]) => (
        <rect key={from} class="held" x={from - 0.5} width={to - from + 1} height={HEIGHT} />
      ))}
      {limit !== null && <path class="limit" d={`M0 ${y(limit)}H${values.length}`} />}
      <path class="line thin" d={path.join('')} />
    </svg>
  );
}
