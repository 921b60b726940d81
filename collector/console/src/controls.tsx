// What a person sets: a stretch of time, a zone, a filter, and what is saved as a file.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { ask, failed, useAnswered } from './api';
import { addDays, beside, range, thisMonth, thisQuarter, type Stretch } from './calendar';
import { month } from './format';
import { matchers, selector } from './matchers';
import { Seg } from './parts';

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

// The names of all zones are many, and are there when what is looked at first is.
export function Zones(props: { zone: string; pick: (zone: string) => void }) {
  const isAnswered = useAnswered();
  const [isReached, setIsReached] = useState(false);
  const known = useMemo(() => (isAnswered || isReached ? Intl.supportedValuesOf('timeZone') : []), [isAnswered || isReached]);
  return (
    <label>
      <span class="sr">Time zone</span>
      <select value={props.zone} onFocus={() => setIsReached(true)} onChange={(event) => props.pick(event.currentTarget.value)}>
        {[...new Set(['UTC', props.zone, ...known])].map((zone) => (
          <option key={zone}>{zone}</option>
        ))}
      </select>
    </label>
  );
}

// What a file may be called anywhere.
const FILE_NAME_MAX = 120;
const OPERATORS: Record<string, string> = { '=': '', '!=': 'not-', '=~': 'like-', '!~': 'not-like-' };

// Of what is in it: `spend-2026-11-Europe-Berlin-by-team-search.csv`.
export function fileName(chosen: string, { from, to }: Stretch, zone: string, by: string, match: string): string {
  const when = (/^\d{4}-/.test(chosen) ? chosen : `${from}..${addDays(to, -1)}`).replace('..', '-to-');
  const filter = matchers(match)?.map(({ operator, value }) => `${OPERATORS[operator] ?? ''}${value}`) ?? [match];
  const name = ['spend', when, zone, 'by', by, ...filter].join('-').replace(/[^\p{L}\p{N}.]+/gu, '-');
  return `${[...name].slice(0, FILE_NAME_MAX - '.csv'.length).join('').replace(/[-.]+$/, '')}.csv`;
}

export function Csv(props: { query: string; name: string }) {
  const [problem, setProblem] = useState('');
  const save = async () => {
    try {
      const params = new URLSearchParams(props.query);
      params.set('format', 'csv');
      const response = await ask('/api/v1/spend', params);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(await response.blob());
      link.download = props.name;
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
