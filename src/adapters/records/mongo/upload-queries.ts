import type { UpdateQuery } from 'mongoose';
import type { OutboxMessage, UploadChange } from '../../../core/upload.ts';
import type { UploadFilter, UploadScan } from '../../../ports/upload-repository.ts';
import { oldestOf, textsOf, type UploadDocument } from './upload-document.ts';

type Conditions = Record<string, unknown>;

/** A condition, left out when there is nothing to compare with. */
const where = <T>(value: T | undefined, condition: (value: T) => Conditions): Conditions[] =>
  value === undefined ? [] : [condition(value)];

const all = (conditions: Conditions[]): Conditions => (conditions.length === 0 ? {} : { $and: conditions });

/** One tenant's uploads. */
export function listFilter(filter: UploadFilter): Conditions {
  return all([
    { tenant: filter.tenant },
    filter.state === undefined ? { state: { $ne: 'deleted' } } : { state: filter.state },
    ...where(filter.strategy, (strategy) => ({ strategy })),
    ...where(filter.resource, ({ type, id }) => ({ 'resource.type': type, 'resource.id': id })),
    ...where(filter.resourceType, (type) => ({ 'resource.type': type })),
    ...where(filter.resourceId, (id) => ({ 'resource.id': id })),
    ...where(filter.before, (before) => ({ _id: { $lt: before } })),
  ]);
}

/** Uploads of all tenants. A comparison with null never holds: what lapses never is not found by `expiresBefore`. */
export function scanFilter(scan: UploadScan): Conditions {
  return all([
    ...where(scan.states, (states) => ({ state: { $in: states } })),
    ...where(scan.node, (node) => ({ 'location.node': node })),
    ...where(scan.backupDueBefore, (before) => ({ 'backup.since': { $lt: before } })),
    ...where(scan.after, (after) => ({ _id: { $gt: after } })),
    ...where(scan.updatedBefore, (before) => ({ updatedAt: { $lt: before } })),
    ...where(scan.expiresBefore, (before) => ({ expiresAt: { $lt: before } })),
    ...where(scan.leaseEndedBefore, (before) => ({ $or: [{ 'lease.expiresAt': null }, { 'lease.expiresAt': { $lt: before } }] })),
  ]);
}

/** The one update that a change is: its fields, the next version and its messages. */
export function updateOf({ version, set, emit }: UploadChange): UpdateQuery<UploadDocument> {
  return { $set: { ...set, version: version + 1 }, ...(emit.length === 0 ? {} : appending(emit)) };
}

function appending(messages: readonly OutboxMessage[]): UpdateQuery<UploadDocument> {
  return {
    $push: { 'outbox.ids': { $each: messages.map(({ id }) => id) }, 'outbox.messages': { $each: textsOf(messages) } },
    $min: { 'outbox.oldestAt': oldestOf(messages) },
    $inc: { 'outbox.size': messages.length },
  };
}
