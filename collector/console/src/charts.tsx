// Charts in SVG. Text keeps its size, so that they are drawn again when their width changes; figures are in the table beside them.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { num } from './format';

const HEIGHT = 280;
const TOP = 8;
const BOTTOM = 22;

function ticks(most: number): number[] {
  const scale = 10 ** Math.floor(Math.log10(most));
  const step = scale * ([0.25, 0.5, 1, 2, 2.5].find((part) => most / part / scale <= 4) ?? 5);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, at) => at * step);
}

// With as many decimals as the steps between them need.
function tick(value: number, step: number): string {
  const decimals = Math.max(0, Math.min(12, 2 - Math.floor(Math.log10(step))));
  const [whole = '0', fraction = ''] = value.toFixed(step >= 1 ? (step % 1 ? 1 : 0) : decimals).split('.');
  const digits = fraction.replace(/0+$/, '');
  return digits ? `${num(whole)}.${digits}` : num(whole);
}

export interface Layer {
  name: string;
  is: string;
  values: number[];
}

export interface Part {
  label: string;
  isNow?: boolean;
}

// Bars side by side, each of layers from below; those behind the first `known` are still to come. `pick` is told which is looked at, or -1.
export function Stack(props: { label: string; layers: Layer[]; parts: Part[]; known: number; at: number; pick: (at: number) => void }) {
  const { layers, parts, known, at, pick } = props;
  const place = useRef<SVGSVGElement>(null);
  const [width, setWidth] = useState(600);
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth || 300));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const count = parts.length;
  const sums = parts.map((_, part) => layers.reduce((sum, layer) => sum + Math.max(0, layer.values[part] ?? 0), 0));
  const most = 1.03 * Math.max(...sums, 0) || 1;
  const y = (value: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const values = ticks(most);
  const labels = values.map((value) => tick(value, values[1] ?? 1));
  const left = 12 + 6.5 * Math.max(...labels.map((label) => label.length));
  const step = (width - left) / Math.max(1, count);
  const bar = Math.min(22, step * 0.74);
  const every = Math.max(1, Math.ceil((count * 64) / Math.max(64, width - left)));
  const nowAt = parts.findIndex((part) => part.isNow);
  const keys = (event: KeyboardEvent) => {
    const to = { ArrowLeft: at < 0 ? known - 1 : Math.max(0, at - 1), ArrowRight: Math.min(known - 1, at + 1), Escape: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    pick(to);
  };
  const point = (event: PointerEvent) => {
    const box = place.current?.getBoundingClientRect();
    if (!box) return;
    const to = Math.floor((event.clientX - box.left - left) / step);
    pick(to >= 0 && to < known ? to : -1);
  };
  return (
    <svg
      ref={place}
      class="chart"
      role="img"
      aria-label={`${props.label}; the arrow keys read a bar into the table beside`}
      height={HEIGHT}
      tabindex={0}
      onKeyDown={keys}
      onPointerMove={point}
      onPointerDown={point}
      onPointerLeave={(event) => event.pointerType !== 'touch' && pick(-1)}
      onBlur={() => pick(-1)}
    >
      <pattern id="hatch" width={5} height={5} patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <path class="hatch-l" d="M1 0V5" />
      </pattern>
      {values.map((value, place) => (
        <Tick key={value} y={y(value)} left={left} width={width}>
          {labels[place]}
        </Tick>
      ))}
      {parts.map((part, here) => {
        const x = left + here * step + (step - bar) / 2;
        let to = 0;
        return (
          <g key={here}>
            {layers.map((layer) => {
              const bottom = y(to);
              to += Math.max(0, layer.values[here] ?? 0);
              const tall = bottom - y(to);
              if (tall <= 0.3) return null;
              const is = at >= 0 && at !== here ? `${layer.is} fade` : layer.is;
              return <rect key={layer.name} class={is} x={x} y={bottom - tall} width={bar} height={Math.max(0.5, tall - (tall > 3 ? 1 : 0))} />;
            })}
            {(part.isNow || (here % every === 0 && (nowAt < 0 || Math.abs(here - nowAt) >= every))) && (
              <text x={x + bar / 2} y={HEIGHT - 5} text-anchor="middle" class={part.isNow ? 'k' : ''}>
                {part.label}
              </text>
            )}
          </g>
        );
      })}
      <path class="axis" d={`M${left} ${HEIGHT - BOTTOM}H${width}`} />
    </svg>
  );
}

function Tick(props: { y: number; left: number; width: number; children: ComponentChildren }) {
  return (
    <>
      <path class="grid" d={`M${props.left} ${props.y}H${props.width}`} />
      <text x={props.left - 8} y={props.y + 4} text-anchor="end">
        {props.children}
      </text>
    </>
  );
}
