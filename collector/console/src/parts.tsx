// What views are made of: tables, bars, groups of buttons, and what stands where an answer is not there.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Answer } from './api';
import { setToken } from './api';

export interface Column<R> {
  head: string;
  // Classes: `n` number, `p4`, `p3` and `p2` leave in this order where it is narrow, `wide` takes half of the table, `wrap` has a head of several lines.
  is?: string;
  cell: (row: R) => ComponentChildren;
  foot?: ComponentChildren;
}

export function Table<R>(props: {
  label: string;
  columns: Column<R>[];
  rows: R[];
  rowKey: (row: R) => string;
  empty?: ComponentChildren;
  // `calls`, `wf` and `budgets` are lists of several lines where it is narrow; the foot of `alone` is no sum.
  is?: string;
  // What a click on a row does. It has a link to the same, for keys and other tabs.
  open?: (row: R) => void;
}) {
  const { label, columns, rows, rowKey, empty, is, open } = props;
  const hasFoot = columns.some((column) => column.foot !== undefined);
  return (
    <table aria-label={label} class={is}>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.head} scope="col" class={column.is}>
              {column.head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.length === 0 && (
          <tr>
            <td colSpan={columns.length} class="dim">
              {empty ?? 'none'}
            </td>
          </tr>
        )}
        {rows.map((row) => (
          <tr key={rowKey(row)} onClick={open && ((event) => isPlain(event) && open(row))}>
            {columns.map((column, at) =>
              at === 0 ? (
                <th key={column.head} scope="row" class={column.is}>
                  {column.cell(row)}
                </th>
              ) : (
                <td key={column.head} class={column.is}>
                  {column.cell(row)}
                </td>
              ),
            )}
          </tr>
        ))}
      </tbody>
      {hasFoot && (
        <tfoot>
          <tr>
            {columns.map((column, at) =>
              at === 0 ? (
                <th key={column.head} scope="row" class={column.is}>
                  {column.foot}
                </th>
              ) : (
                <td key={column.head} class={column.is}>
                  {column.foot}
                </td>
              ),
            )}
          </tr>
        </tfoot>
      )}
    </table>
  );
}

// Not on a link, which does by itself what it does, and not where a text is being selected.
const isPlain = (event: MouseEvent): boolean =>
  !(event.target instanceof Element && event.target.closest('a, button')) &&
  !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) &&
  !getSelection()?.toString();

const WORD_MAX = 16;

// A name that a sender has given: its letters may run either way, and nothing beside it follows them. It breaks inside words only where one of
// them is long: a column would else be as narrow as a letter beside one that asks for room.
export const Name = (props: { of: string | undefined; none: string }) =>
  props.of ? <bdi class={isOfWords(props.of) ? 'words' : undefined}>{props.of}</bdi> : <span class="dim">{props.none}</span>;

const isOfWords = (name: string): boolean => name.split(/[\s-]/).every((word) => word.length <= WORD_MAX);

export const None = () => <span class="dim">none</span>;

// `why`: in the words of the price book.
export const Unpriced = (props: { why?: string }) => <span class="tag">{props.why ? `unpriced: ${props.why.replaceAll('_', ' ')}` : 'unpriced'}</span>;

export function Seg(props: { label: string; of: { value: string; text: string; is?: string }[]; at: string; pick: (value: string) => void }) {
  return (
    <div class="seg" role="group" aria-label={props.label}>
      {props.of.map(({ value, text, is }) => (
        <button type="button" key={value} class={is} aria-pressed={value === props.at} onClick={() => props.pick(value)}>
          {text}
        </button>
      ))}
    </div>
  );
}

// A text to paste, and a button that copies it.
export function Code(props: { text: string; label: string }) {
  const [isCopied, setIsCopied] = useState(false);
  const copy = () =>
    navigator.clipboard?.writeText(props.text).then(
      () => setIsCopied(true),
      () => setIsCopied(false),
    );
  return (
    <div class="code" tabIndex={0} role="region" aria-label={props.label}>
      <code>{props.text}</code>
      <button type="button" class="small" onClick={copy}>
        {isCopied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}

// A share as a bar in a track, from 0 to 100.
export function Bar(props: { percent: number; width?: number; is?: string }) {
  const { percent, width = 96, is = '' } = props;
  return (
    <svg width={width} height={12} aria-hidden="true">
      <rect class="track" y={2} width="100%" height={8} />
      <rect class={`fill ${is}`} y={2} width={`${Math.max(0.6, Math.min(100, percent))}%`} height={8} />
    </svg>
  );
}

const SPARKS = 40;

export function Spark(props: { of: number[] }) {
  // Of many parts neighbours are one line.
  const each = Math.ceil(props.of.length / SPARKS);
  const of = Array.from({ length: Math.ceil(props.of.length / Math.max(1, each)) }, (_, at) =>
    props.of.slice(at * each, (at + 1) * each).reduce((sum, value) => sum + value, 0),
  );
  const most = Math.max(...of, 0);
  const path = of.map((value, at) => (value > 0 ? `M${at * 3 + 1} 20v-${Math.max(1, (value / most) * 20)}` : '')).join('');
  return (
    <svg width={of.length * 3} height={20} aria-hidden="true">
      <path class="spark" d={path || 'M0 0'} />
    </svg>
  );
}

const PATHS = {
  spend: 'M3 13V8M8 13V3M13 13V6',
  calls: 'M2 4h12M2 8h12M2 12h7',
  gaps: 'M8 2a6 6 0 1 1-4.2 1.8M8 5v3.5M8 11v.2',
  alerts: 'M8 2.5 14 13H2zM8 6.5v3M8 11v.2',
  health: 'M1 8h3l2-5 3.5 10L12 8h3',
  pending: 'M6 1.5 10.5 6 6 10.5 1.5 6z',
  firing: 'M6 1 11.5 11H.5z',
  done: 'M2 6.5 5 9.5 10.5 3',
  wait: 'M6 1.5a4.5 4.5 0 1 1-.1 0M6 3.5V6l2 1',
  logo: 'M3 4h9M3 9h14M3 14h14M3 18h14',
};

export function Icon(props: { name: keyof typeof PATHS; size?: number }) {
  const size = props.size ?? 12;
  return (
    <svg width={size} height={size} class={`icon ${props.name}`} aria-hidden="true">
      <path d={PATHS[props.name]} />
    </svg>
  );
}

export function State(props: { icon: keyof typeof PATHS; is: string; children: ComponentChildren }) {
  return (
    <span class={`st ${props.is}`}>
      <Icon name={props.icon} />
      {props.children}
    </span>
  );
}

// What is to be told beside an answer, or where there is none.
export function Told<T>(props: { answer: Answer<T>; what: string; since?: string | undefined }) {
  const { answer, what } = props;
  if (answer.failure?.kind === 'token') {
    const why = answer.failure.isWrong ? 'The collector does not know this token.' : 'This collector asks for a token.';
    return <AskToken why={why} />;
  }
  if (answer.failure?.kind === 'forbidden') return <AskToken why={`Your token does not reach this: ${answer.failure.text}`} />;
  if (answer.failure && answer.data) {
    return (
      <p class="note w" role="status">
        <State icon="wait" is="warn">
          <b>{props.since ? `From ${props.since}.` : 'Not of now.'}</b>
        </State>{' '}
        {answer.failure.text} The numbers stay those of that time.{' '}
        <button type="button" class="small" onClick={answer.again}>
          Ask again
        </button>
      </p>
    );
  }
  if (answer.failure) {
    return (
      <p class="note b" role="alert">
        <State icon="firing" is="bad">
          <b>{what} cannot be read.</b>
        </State>
        <br />
        {answer.failure.text} {answer.failure.isOurs ? '' : 'Nothing is lost by that.'}{' '}
        <button type="button" class="small" onClick={answer.again}>
          Ask again
        </button>
      </p>
    );
  }
  return answer.isLoading && !answer.data ? <Loading what={what} stop={answer.stop} /> : null;
}

function Loading(props: { what: string; stop: () => void }) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setSeconds((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  if (seconds < 3) return null;
  return (
    <p role="status">
      Reading {props.what.toLowerCase()}<span aria-hidden="true">, {seconds} s so far</span>.{' '}
      <button type="button" class="small" onClick={props.stop}>
        Stop
      </button>
    </p>
  );
}

// What a header can hold.
const TOKEN = /^[\x21-\x7e]+$/;

function AskToken(props: { why: string }) {
  const [text, setText] = useState('');
  const isOdd = text !== '' && !TOKEN.test(text.trim());
  return (
    <form
      class="note"
      onSubmit={(event) => {
        event.preventDefault();
        if (TOKEN.test(text.trim())) setToken(text.trim());
      }}
    >
      <label>
        <b role="alert">{props.why}</b> One of <code>auth.tokens</code> in its configuration opens it; it stays in this tab.
        <span class="field">
          <input type="password" autocomplete="off" value={text} aria-invalid={isOdd} onInput={(event) => setText(event.currentTarget.value)} />
        </span>
      </label>
      {isOdd && <p class="bad">It holds a character that no token has.</p>}
      <button type="submit">Use it</button>
    </form>
  );
}
