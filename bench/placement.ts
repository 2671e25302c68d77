/**
 * Rendezvous hashing beside a consistent-hashing ring with virtual nodes: how even both are, what moves when a member
 * joins, leaves or gets twice the weight, and what a lookup costs. `npm run bench:placement` prints the table of
 * docs/direct-placement.md.
 */
import { Placement } from '../src/core/placement.ts';
import { Modulo, Ring } from './placement-ring.ts';

const MEMBERS = 1000;
const FILES = 200_000;
const POINTS = [1, 100, 1000];

interface Placer {
  ownerOf(id: string): string | null;
}
type Make = (weights: ReadonlyMap<string, number>) => Placer;

const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `api-${at}`);
const equal = (count: number): Map<string, number> => new Map(names(count).map((name) => [name, 1]));

/** Ids as uploads have them, always the same: a time in front, then digits that look random. */
function ids(count: number): string[] {
  let state = 0x9e3779b9;
  const digits = (length: number): string => {
    let text = '';
    while (text.length < length) {
      state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
      text += ((state ^ (state >>> 13)) >>> 0).toString(16).padStart(8, '0');
    }
    return text.slice(0, length);
  };
  return Array.from({ length: count }, (_, at) => {
    const time = (1_800_000_000_000 + at).toString(16).padStart(12, '0');
    return `${time.slice(0, 8)}-${time.slice(8)}-7${digits(3)}-8${digits(3)}-${digits(12)}`;
  });
}

const FILE_IDS = ids(FILES);
const ownersIn = (placer: Placer): (string | null)[] => FILE_IDS.map((id) => placer.ownerOf(id));
const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

/** The share of files that changed their owner, and of those that did so without need: neither to nor from the member that changed. */
function moved(before: (string | null)[], after: (string | null)[], changed: string): { all: number; needless: number } {
  let all = 0;
  let needless = 0;
  before.forEach((owner, at) => {
    if (owner === after[at]) return;
    all += 1;
    if (owner !== changed && after[at] !== changed) needless += 1;
  });
  return { all: all / FILES, needless: needless / FILES };
}

function spread(owners: (string | null)[]): string {
  const counts = new Map<string | null, number>(names(MEMBERS).map((name) => [name, 0]));
  for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const mean = FILES / MEMBERS;
  const deviation = Math.sqrt([...counts.values()].reduce((sum, count) => sum + (count - mean) ** 2, 0) / MEMBERS);
  const [least, most] = [Math.min(...counts.values()), Math.max(...counts.values())];
  return `±${percent(deviation / mean)}; ${(least / mean).toFixed(2)} to ${(most / mean).toFixed(2)}`;
}

function row(name: string, make: Make): string {
  const began = performance.now();
  const placer = make(equal(MEMBERS));
  const built = performance.now() - began;
  const asked = performance.now();
  const owners = ownersIn(placer);
  const lookup = ((performance.now() - asked) / FILES) * 1000;
  const joined = moved(owners, ownersIn(make(equal(MEMBERS + 1))), `api-${MEMBERS}`);
  const [gone, heavy] = ['api-500', 'api-700'];
  const without = equal(MEMBERS);
  without.delete(gone);
  const left = moved(owners, ownersIn(make(without)), gone);
  const doubled = moved(owners, ownersIn(make(new Map([...equal(MEMBERS), [heavy, 2]]))), heavy);
  const movements = [joined, left, doubled].map(({ all }) => percent(all));
  const needless = percent(Math.max(joined.needless, left.needless, doubled.needless));
  const cells = [name, spread(owners), ...movements, needless, `${lookup.toFixed(1)} µs`, `${built.toFixed(1)} ms`];
  return `| ${cells.join(' | ')} |`;
}

const rendezvous: Make = (weights) => new Placement([...weights].map(([name, weight]) => ({ name, weight })));
const ring =
  (points: number): Make =>
  (weights) =>
    new Ring(weights, points);

console.log(
  `${MEMBERS} members, ${FILES} files; the best that chance allows is ±${percent(Math.sqrt(MEMBERS / FILES))}, and to move ${percent(1 / (MEMBERS + 1))}\n`,
);
console.log(
  '| | files of a member: deviation; least and most, mean 1 | moved: one joins | one leaves | one gets weight 2 | moved needlessly | a lookup | to build |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
console.log(row('rendezvous', rendezvous));
for (const points of POINTS) console.log(row(`ring, ${points} point${points === 1 ? '' : 's'} each`, ring(points)));
console.log(row('hash modulo members', (weights) => new Modulo([...weights.keys()])));
