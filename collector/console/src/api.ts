// The collector's API. Types are made from its own description (`npm run schema`).

import { useEffect, useRef, useState } from 'preact/hooks';
import { LIVE_MS, took, useBeat, type Part } from './rhythm';
import type { components, paths } from './schema';
import { store, stored } from './stored';

export type Spend = components['schemas']['SpendBody'];
export type SpendTable = components['schemas']['TableBody'];
export type SpendRow = components['schemas']['RowBody'];
export type Span = components['schemas']['SpanBody'];
export type Calls = components['schemas']['CallsBody'];
export type Call = components['schemas']['CallBody'];
export type Bill = components['schemas']['BillBody'];
export type Budgets = components['schemas']['BudgetsBody'];
export type Budget = components['schemas']['BudgetBody'];
export type Status = components['schemas']['StatusBody'];
export type Seen = components['schemas']['SeenBody'];
export type SeenRule = components['schemas']['RuleSeenBody'];
export type SeenSeries = components['schemas']['SeriesSeenBody'];
// What is described, and Prometheus's own, which Prometheus describes.
export type Path = (keyof paths & string) | `/api/v1/calls/${string}/${string}` | `/api/v1/alerts/${string}` | `/prometheus/api/v1/${'query' | 'rules'}`;

export type Failure =
  // `isWrong`: one was sent.
  | { kind: 'token'; isWrong: boolean }
  | { kind: 'forbidden'; text: string }
  // `isOurs`: the question is wrong, and asked again it stays so.
  | { kind: 'failed'; text: string; isOurs: boolean };

// Within this tab only.
const TOKEN = 'ledgerline.token';
let token = stored('session', TOKEN) ?? '';

export const setToken = (text: string): void => {
  token = text;
  store('session', TOKEN, text);
  dispatchEvent(new Event('ledgerline:token'));
};

class ApiError extends Error {
  constructor(readonly failure: Failure) {
    super(failure.kind);
  }
}

async function failure(response: Response): Promise<Failure> {
  if (response.status === 401) return { kind: 'token', isWrong: token !== '' };
  const body = await response.text();
  let text = body;
  try {
    text = (JSON.parse(body) as { error?: string }).error ?? body;
  } catch {
    // It is a text.
  }
  text = text.trim() || response.statusText;
  return response.status === 403 ? { kind: 'forbidden', text } : { kind: 'failed', text, isOurs: response.status < 500 };
}

const PATIENCE_MS = 60_000;

export async function ask(path: Path, params: URLSearchParams, stop: AbortSignal | null = null): Promise<Response> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const signal = stop ? AbortSignal.any([stop, patience]) : patience;
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const query = params.toString();
  const response = await fetch(query ? `${path}?${query}` : path, { headers, signal });
  if (!response.ok) throw new ApiError(await failure(response));
  return response;
}

export const failed = (error: unknown): Failure =>
  error instanceof ApiError ? error.failure : { kind: 'failed', text: 'The collector does not answer.', isOurs: false };

// What is known: the last answer, and what happens to the next.
export interface Answer<T> {
  data: T | null;
  // When `data` was asked for, milliseconds since the epoch.
  asked: number;
  failure: Failure | null;
  isLoading: boolean;
  again: () => void;
  stop: () => void;
}

interface State<T> {
  subject: string;
  data: T | null;
  asked: number;
  failure: Failure | null;
  isLoading: boolean;
}

// What stands beside every view asks when the view has been answered, so that what is looked at first is there first.
const ANSWERED = 'ledgerline:answered';
let isAnswered = false;

function answered(): void {
  isAnswered = true;
  dispatchEvent(new Event(ANSWERED));
}

export function useAnswered(): boolean {
  const [is, setIs] = useState(isAnswered);
  useEffect(() => {
    const now = () => setIs(true);
    addEventListener(ANSWERED, now);
    if (isAnswered) now();
    return () => removeEventListener(ANSWERED, now);
  }, []);
  return is;
}

// Asks when the question changes and then at the beat of the page. An answer stays while the next is awaited, if it is of the same subject.
// Nothing is asked before `isDue`: what is looked at first is asked alone.
export function useApi<T>(path: Path, question: string, subject: string, everyMs = LIVE_MS, isDue = true): Answer<T> {
  const [turn, setTurn] = useState(0);
  const again = () => setTurn((n) => n + 1);
  const [part] = useState<Part>(() => ({ everyMs, tookMs: 0, restsUntil: 0, again }));
  part.everyMs = everyMs;
  useBeat(part);
  const [state, setState] = useState<State<T>>({ subject, data: null, asked: 0, failure: null, isLoading: true });
  const running = useRef<(() => void) | null>(null);
  useEffect(() => {
    if (!isDue) return;
    const controller = new AbortController();
    let isStopped = false;
    running.current = () => {
      isStopped = true;
      controller.abort();
    };
    const asked = Date.now();
    const begun = performance.now();
    part.restsUntil = Infinity;
    setState((old) => {
      const isSame = old.subject === subject;
      return { ...old, data: isSame ? old.data : null, failure: isSame && old.data ? old.failure : null, subject, isLoading: true };
    });
    let isLeft = false;
    ask(path, new URLSearchParams(question), controller.signal)
      .then((response) => response.json() as Promise<T>)
      .then((data) => {
        if (isLeft) return;
        answered();
        took(part, begun);
        setState({ subject, data, asked, failure: null, isLoading: false });
      })
      .catch((error: unknown) => {
        if (isLeft) return;
        answered();
        const why: Failure = isStopped ? { kind: 'failed', text: 'Stopped.', isOurs: true } : failed(error);
        setState((old) => ({ ...old, failure: why, isLoading: false }));
        if (why.kind === 'failed' && !why.isOurs) part.restsUntil = 0;
      });
    addEventListener('ledgerline:token', again);
    return () => {
      isLeft = true;
      running.current = null;
      controller.abort();
      removeEventListener('ledgerline:token', again);
    };
  }, [path, question, subject, turn, isDue]);
  const { data, asked, failure: why, isLoading } = state;
  return {
    data: state.subject === subject ? data : null,
    asked,
    failure: why,
    isLoading,
    again,
    stop: () => running.current?.(),
  };
}
