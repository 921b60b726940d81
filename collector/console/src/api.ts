// The collector's API. Types are made from its own description (`npm run schema`).

import { useEffect, useRef, useState } from 'preact/hooks';
import type { components, paths } from './schema';

export type Spend = components['schemas']['SpendBody'];
export type SpendTable = components['schemas']['TableBody'];
export type SpendRow = components['schemas']['RowBody'];
export type Path = keyof paths & string;

export type Failure =
  | { kind: 'token' }
  | { kind: 'forbidden'; text: string }
  | { kind: 'failed'; text: string };

// Within this tab only.
const TOKEN = 'ledgerline.token';

export const setToken = (token: string): void => {
  sessionStorage.setItem(TOKEN, token);
  dispatchEvent(new Event('ledgerline:token'));
};

class ApiError extends Error {
  constructor(readonly failure: Failure) {
    super(failure.kind);
  }
}

async function failure(response: Response): Promise<Failure> {
  if (response.status === 401) return { kind: 'token' };
  const body = await response.text();
  let text = body;
  try {
    text = (JSON.parse(body) as { error?: string }).error ?? body;
  } catch {
    // It is a text.
  }
  return { kind: response.status === 403 ? 'forbidden' : 'failed', text: text.trim() || response.statusText };
}

export async function ask(path: Path, params: URLSearchParams, signal: AbortSignal | null = null): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(`${path}?${params}`, { headers, signal });
  if (!response.ok) throw new ApiError(await failure(response));
  return response;
}

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

// Asks when the question changes and then every so often. An answer stays while the next is awaited, if it is of the same subject.
export function useApi<T>(path: Path, question: string, subject: string, everySeconds = 0): Answer<T> {
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<State<T>>({ subject, data: null, asked: 0, failure: null, isLoading: true });
  const running = useRef<AbortController | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    running.current = controller;
    const asked = Date.now();
    setState((old) => ({ ...old, data: old.subject === subject ? old.data : null, subject, isLoading: true }));
    let timer = 0;
    ask(path, new URLSearchParams(question), controller.signal)
      .then((response) => response.json() as Promise<T>)
      .then((data) => setState({ subject, data, asked, failure: null, isLoading: false }))
      .catch((error: unknown) => {
        const isStopped = error instanceof DOMException && error.name === 'AbortError';
        const failed: Failure = error instanceof ApiError ? error.failure : { kind: 'failed', text: isStopped ? 'Stopped.' : 'The collector does not answer.' };
        if (running.current === controller) setState((old) => ({ ...old, failure: failed, isLoading: false }));
      })
      .finally(() => {
        if (everySeconds > 0 && running.current === controller) timer = setTimeout(() => setTurn((n) => n + 1), everySeconds * 1000);
      });
    const retry = () => setTurn((n) => n + 1);
    addEventListener('ledgerline:token', retry);
    return () => {
      running.current = null;
      controller.abort();
      clearTimeout(timer);
      removeEventListener('ledgerline:token', retry);
    };
  }, [path, question, subject, turn, everySeconds]);
  const { data, asked, failure: failed, isLoading } = state;
  return {
    data: state.subject === subject ? data : null,
    asked,
    failure: failed,
    isLoading,
    again: () => setTurn((n) => n + 1),
    stop: () => running.current?.abort(),
  };
}
