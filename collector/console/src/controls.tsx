// What a person sets: a stretch of time, a zone, a filter, and what is saved as a file.

import { useEffect, useState } from 'preact/hooks';
import { ask, failed } from './api';
import { addDays, beside, range, thisMonth, thisQuarter } from './calendar';
import { month } from './format';
import { Seg } from './parts';

const MATCHER = /^[\s,]*(\w+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^\s,"{}]+)/;

// `team=search environment!=dev` as PromQL selects, or a selector as it is, without the names of `apart`, which are put there; null if some
// of it cannot be read.
export function selector(text: string, apart: Record<string, string> = {}): string | null {
  let rest = text.trim();
  if (rest.startsWith('{')) return rest;
  const matchers = [];
  while (rest) {
    const [all, name = '', operator, value = ''] = MATCHER.exec(rest) ?? [];
    if (!all) return null;
    const quoted = value.startsWith('"') ? value : JSON.stringify(value);
    if (name in apart) {
      if (operator !== '=') return null;
      apart[name] = unquoted(quoted);
    } else matchers.push(`${name}${operator}${quoted}`);
    rest = rest.slice(all.length).replace(/^[\s,]+/, '');
  }
  return matchers.length > 0 ? `{${matchers.join(',')}}` : '';
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}

export function Ranges(props: { zone: string; chosen: string; pick: (range: string) => void }) {
  const { zone, chosen, pick } = props;
  const current = thisMonth(zone);
  const of = [
    { value: 'today', text: 'Today' },
    { value: '7d', text: '7 days' },
    { value: current, text: month(`${current}-01`) },
    { value: thisQuarter(zone), text: 'Quarter' },
  ];
  const isOther = !of.some((one) => one.value === chosen);
  const [isOpen, setIsOpen] = useState(false);
  return (
    <>
      <button type="button" data-key="[" aria-label="Range before" onClick={() => pick(beside(chosen, zone, -1))}>
        {'\u2039'}
      </button>
      <Seg label="Range" of={isOther ? [...of, { value: chosen, text: chosen.replace('..', ' to ') }] : of} at={chosen} pick={pick} />
      <button type="button" data-key="]" aria-label="Range after" onClick={() => pick(beside(chosen, zone, 1))}>
        {'\u203a'}
      </button>
      <button type="button" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
        Custom
      </button>
      {isOpen && (
        <Custom
          zone={zone}
          chosen={chosen}
          pick={(to) => {
            setIsOpen(false);
            pick(to);
          }}
        />
      )}
    </>
  );
}

// From one day to another, both inside.
function Custom(props: { zone: string; chosen: string; pick: (range: string) => void }) {
  const { zone, chosen, pick } = props;
  const now = range(chosen, zone);
  const [from, setFrom] = useState(now?.from ?? '');
  const [to, setTo] = useState(now ? addDays(now.to, -1) : '');
  const custom = `${from}..${to}`;
  const isOdd = range(custom, zone) === null;
  return (
    <form
      class="tools"
      aria-label="Custom range"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isOdd) pick(custom);
      }}
    >
      <label>
        from <input type="date" value={from} aria-invalid={isOdd} onInput={(event) => setFrom(event.currentTarget.value)} />
      </label>
      <label>
        to <input type="date" value={to} aria-invalid={isOdd} onInput={(event) => setTo(event.currentTarget.value)} />
      </label>
      <button type="submit">Show</button>
      {isOdd && (
        <span class="bad" role="alert">
          Give two days, the first before the last, at most three years apart.
        </span>
      )}
    </form>
  );
}

// The names of all zones are many, and are there when the list is reached for.
export function Zones(props: { zone: string; pick: (zone: string) => void }) {
  const [known, setKnown] = useState<string[]>([]);
  const reach = () => {
    if (known.length === 0) setKnown(Intl.supportedValuesOf('timeZone'));
  };
  return (
    <label>
      <span class="sr">Time zone</span>
      <select value={props.zone} onPointerEnter={reach} onPointerDown={reach} onFocus={reach} onChange={(event) => props.pick(event.currentTarget.value)}>
        {[...new Set(['UTC', props.zone, ...known])].map((zone) => (
          <option key={zone}>{zone}</option>
        ))}
      </select>
    </label>
  );
}

export function Csv(props: { query: string }) {
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
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      setProblem('');
    } catch (error) {
      const why = failed(error);
      setProblem(why.kind === 'token' ? 'The collector asks for a token.' : why.text);
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

// `apart`: what the filter may name that is no dimension, with what it is now.
export function Filter(props: { match: string; apart?: Record<string, string>; hint?: string; apply: (match: string, apart: Record<string, string>) => void }) {
  const { match, apply } = props;
  const apart = props.apart ?? {};
  const named = Object.entries(apart).filter(([, value]) => value);
  const now = [match, ...named.map(([name, value]) => `${name}=${JSON.stringify(value)}`)].filter(Boolean).join(' ');
  const [text, setText] = useState(now);
  const [isOdd, setIsOdd] = useState(false);
  useEffect(() => setText(now), [now]);
  const none = Object.fromEntries(Object.keys(apart).map((name) => [name, '']));
  const submit = (event: Event) => {
    event.preventDefault();
    const found = { ...none };
    // What was a selector stays one, and what stands behind it is read by name.
    const [braced = ''] = match && text.startsWith(match) ? [match] : [];
    const rest = selector(text.slice(braced.length), found);
    setIsOdd(rest === null || (braced !== '' && rest !== ''));
    if (rest !== null && !(braced && rest)) apply(braced || rest, found);
  };
  return (
    <form class="tools" role="search" onSubmit={submit}>
      <label class="field">
        <span class="sr">Filter</span>
        <input
          value={text}
          placeholder={props.hint ?? 'team=search environment=production'}
          spellcheck={false}
          aria-invalid={isOdd}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <kbd>/</kbd>
      </label>
      {isOdd && (
        <span class="bad" role="alert">
          Write team=search, model="a b" or a selector in braces; all calls of the last filter are still shown.
        </span>
      )}
      {now && (
        <button type="button" onClick={() => apply('', none)}>
          All calls
        </button>
      )}
    </form>
  );
}
