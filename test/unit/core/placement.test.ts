import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fmix64, fnv1a64, type Member, Placement, score } from '../../../src/core/placement.ts';

/** The examples of docs/direct-placement.md; computed by a program of its own. */
const MEMBERS: Member[] = [
  { name: 'api-0', weight: 1 },
  { name: 'api-1', weight: 1 },
  { name: 'api-2', weight: 2 },
  { name: 'api-3.files.example.com', weight: 0.5 },
];
const VECTORS: [id: string, scores: [name: string, score: number][]][] = [
  [
    '0199f7a0-1c2e-7d3a-8b4c-5d6e7f809102',
    [
      ['api-0', 4.008634082652643],
      ['api-2', 1.4082965961759875],
      ['api-1', 0.8203710434982886],
      ['api-3.files.example.com', 0.28378623425299115],
    ],
  ],
  [
    '0199f7a0-1c2e-7d3a-8b4c-5d6e7f809103',
    [
      ['api-2', 1.5732322329912825],
      ['api-0', 1.4129515366279883],
      ['api-3.files.example.com', 0.3342658333303641],
      ['api-1', 0.19095651170708824],
    ],
  ],
  [
    '00000000-0000-7000-8000-000000000000',
    [
      ['api-3.files.example.com', 6.312366960149026],
      ['api-2', 0.7118870421911712],
      ['api-1', 0.6427418641168274],
      ['api-0', 0.525803770763177],
    ],
  ],
  [
    'ffffffff-ffff-7fff-bfff-ffffffffffff',
    [
      ['api-0', 10.240158078757931],
      ['api-2', 9.335721844868951],
      ['api-3.files.example.com', 0.3027752015679819],
      ['api-1', 0.25413958266683273],
    ],
  ],
];

const hex = ({ high, low }: { high: number; low: number }): string =>
  [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');

describe('what the definition says', () => {
  test.each(VECTORS)('%s ranks the members by these scores', (id, scores) => {
    expect(new Placement(MEMBERS).rank(id)).toEqual(scores.map(([name]) => name));
    for (const [name, expected] of scores) {
      const member = MEMBERS.find((one) => one.name === name) as Member;
      expect(Math.abs(score(member, id) / expected - 1)).toBeLessThan(1e-14);
    }
  });

  test.each([
    ['', 'cbf29ce484222325'],
    ['foobar', '85944171f73967e8'],
    ['api-0', 'cf30caa4d2d93dea'],
  ])('FNV-1a of %j', (text, expected) => {
    expect(hex(fnv1a64(text))).toBe(expected);
  });

  test.each([
    [0, 1, 'b456bcfc34c2cb2c'],
    [0x01234567, 0x89abcdef, '87cbfbfe89022cea'],
    [0xffffffff, 0xffffffff, '64b5720b4b825f21'],
  ])('fmix64 of %d, %d', (high, low, expected) => {
    expect(hex(fmix64(high, low))).toBe(expected);
  });

  test('64 bits in halves come out as in one number', () => {
    const MASK = (1n << 64n) - 1n;
    const mix = (value: bigint, by: bigint): bigint => ((value ^ (value >> 33n)) * by) & MASK;
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MASK }), (value) => {
        const mixed = mix(mix(value, 0xff51afd7ed558ccdn), 0xc4ceb9fe1a85ec53n);
        expect(hex(fmix64(Number(value >> 32n), Number(value & 0xffffffffn)))).toBe(
          (mixed ^ (mixed >> 33n)).toString(16).padStart(16, '0'),
        );
      }),
    );
  });
});

const id = fc.uuid({ version: 7 });
const ids = fc.array(id, { minLength: 20, maxLength: 60 });
const weight = fc.double({ min: 0.01, max: 100, noNaN: true });
const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9.-]{0,20}[a-z0-9])?$/);
const members = fc.uniqueArray(fc.record({ name, weight }), { minLength: 1, maxLength: 30, selector: (member) => member.name });

describe('whatever the members', () => {
  test('every upload has an owner, and all members follow in rank', () => {
    fc.assert(
      fc.property(members, id, (all, upload) => {
        const placement = new Placement(all);
        const rank = placement.rank(upload);
        expect(rank[0]).toBe(placement.ownerOf(upload));
        expect([...rank].sort()).toEqual(all.map((member) => member.name).sort());
      }),
    );
  });

  test('the order in which they are named says nothing', () => {
    fc.assert(
      fc.property(members, id, (all, upload) => {
        expect(new Placement([...all].reverse()).rank(upload)).toEqual(new Placement(all).rank(upload));
      }),
    );
  });

  test('one that joins takes files over, and moves none between the others', () => {
    fc.assert(
      fc.property(members, ids, ([newcomer, ...others], uploads) => {
        fc.pre(newcomer !== undefined && others.length > 0);
        const before = new Placement(others);
        const after = new Placement([...others, newcomer as Member]);
        for (const upload of uploads) expect([before.ownerOf(upload), newcomer?.name]).toContain(after.ownerOf(upload));
      }),
    );
  });

  test('one that leaves gives its files to the next in rank, and the rest keep their order', () => {
    fc.assert(
      fc.property(members, ids, ([leaving, ...others], uploads) => {
        fc.pre(leaving !== undefined && others.length > 0);
        const before = new Placement([leaving as Member, ...others]);
        const after = new Placement(others);
        for (const upload of uploads) expect(after.rank(upload)).toEqual(before.rank(upload).filter((one) => one !== leaving?.name));
      }),
    );
  });

  test('more weight only takes files, less weight only gives them', () => {
    fc.assert(
      fc.property(members, weight, ids, ([changed, ...others], other, uploads) => {
        fc.pre(changed !== undefined && changed.weight !== other);
        const { name: itsName, weight: itsWeight } = changed as Member;
        const [light, heavy] = [Math.min(itsWeight, other), Math.max(itsWeight, other)].map(
          (each) => new Placement([{ name: itsName, weight: each }, ...others]),
        ) as [Placement, Placement];
        for (const upload of uploads) if (light.ownerOf(upload) === itsName) expect(heavy.ownerOf(upload)).toBe(itsName);
        for (const upload of uploads) if (heavy.ownerOf(upload) !== itsName) expect(light.ownerOf(upload)).toBe(heavy.ownerOf(upload));
      }),
    );
  });

  test('each has its share by weight', () => {
    const COUNT = 4000;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 8 }), fc.nat(), (weights, seed) => {
        const all = weights.map((each, at) => ({ name: `api-${at}`, weight: each }));
        const placement = new Placement(all);
        const counts = new Map<string, number>();
        for (let at = 0; at < COUNT; at += 1) {
          const owner = placement.ownerOf(`${seed}-${at}`) as string;
          counts.set(owner, (counts.get(owner) ?? 0) + 1);
        }
        const total = weights.reduce((sum, each) => sum + each, 0);
        for (const { name: member, weight: each } of all) {
          const share = each / total;
          // Six standard deviations: once in a hundred million.
          expect(Math.abs((counts.get(member) ?? 0) - COUNT * share)).toBeLessThan(6 * Math.sqrt(COUNT * share * (1 - share)));
        }
      }),
      { numRuns: 15 },
    );
  }, 120_000);
});

test('without members nobody keeps anything', () => {
  expect(new Placement([]).ownerOf('x')).toBeNull();
  expect(new Placement([]).rank('x')).toEqual([]);
});

test.each([
  ['no weight', [{ name: 'a', weight: 0 }]],
  ['a weight below zero', [{ name: 'a', weight: -1 }]],
  ['a weight that is no number', [{ name: 'a', weight: Number.NaN }]],
  ['an endless weight', [{ name: 'a', weight: Number.POSITIVE_INFINITY }]],
  [
    'a name given twice',
    [
      { name: 'a', weight: 1 },
      { name: 'a', weight: 2 },
    ],
  ],
  ['a name that is not ASCII', [{ name: 'ä', weight: 1 }]],
])('%s is refused', (_what, wrong) => {
  expect(() => new Placement(wrong)).toThrow(RangeError);
});
