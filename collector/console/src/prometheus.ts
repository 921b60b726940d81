// What is asked of Prometheus's API: sums that the finance API has no column for, and the rules.

import { useApi, type Answer } from './api';
import { ONCE } from './rhythm';

export interface Sample {
  labels: Record<string, string>;
  // The decimal text to its last digit.
  value: string;
}

interface Vector {
  data: { result: { metric: Record<string, string>; value: [number, string] }[] };
}

export interface Question {
  query: string;
  time: string;
}

const epoch = (time: string): number => new Date(time).getTime() / 1000;

// The sums of a stretch of time that began and ended at those moments, by these labels.
export function increase(by: string, metric: string, matchers: string, from: string, through: string): Question {
  const ms = Math.round((epoch(through) - epoch(from)) * 1000);
  return ms > 0 ? { query: `sum by (${by}) (increase(${metric}${matchers}[${ms}ms]))`, time: String(epoch(through)) } : NOTHING;
}

const NOTHING: Question = { query: 'vector(0) > 0', time: '' };

// What it comes to, asked when the question changes; null: it is not known yet what is asked.
export function useQuery(question: Question | null): Answer<Sample[]> {
  const asked = question ?? NOTHING;
  const params = new URLSearchParams({ query: asked.query });
  if (asked.time) params.set('time', asked.time);
  const answer = useApi<Vector>('/prometheus/api/v1/query', params.toString(), asked.query.replace(/\d+ms/, ''), ONCE);
  const samples = answer.data?.data.result.map(({ metric, value }) => ({ labels: metric, value: value[1] }));
  return { ...answer, data: (question && samples) ?? null };
}

export interface Alert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: 'firing' | 'pending';
  activeAt: string;
  value: string;
}

export interface Rule {
  name: string;
  query: string;
  state: 'firing' | 'pending' | 'inactive';
  health: 'ok' | 'err' | 'unknown';
  lastError?: string;
  duration: number;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  alerts: Alert[];
  lastEvaluation: string;
  evaluationTime: number;
}

export interface Rules {
  data: { groups: { name: string; file: string; interval: number; rules: Rule[] }[] };
}
