/** How a file is cut into the parts of a multipart upload. Sizes in bytes, part numbers from 1. */
export interface PartPlan {
  partSize: number;
  partCount: number;
}

/** S3's limit, kept for every store. */
export const MAX_PARTS = 10_000;
const MIB = 1024 ** 2;

/** Parts of `preferredSize` each, larger (by whole MiB) where there would be more than 10,000 of them. */
export function planParts(size: number, preferredSize: number): PartPlan {
  const smallest = Math.ceil(size / MAX_PARTS);
  const partSize = preferredSize >= smallest ? preferredSize : Math.ceil(smallest / MIB) * MIB;
  return { partSize, partCount: Math.max(Math.ceil(size / partSize), 1) };
}

/** Every part has the plan's size but the last, which has what is left. */
export const sizeOfPart = (partNumber: number, { partSize, partCount }: PartPlan, size: number): number =>
  partNumber < partCount ? partSize : size - partSize * (partCount - 1);
