import { type Connection, type Model, Schema, type SchemaOptions } from 'mongoose';
import type { Resource } from '../../../ports/resource-repository.ts';
import type { UploadDocument } from './upload-document.ts';

/** `attributes` are JSON text: their names may hold dots and dollars, which are operators in an update. */
export interface ResourceDocument extends Omit<Resource, 'attributes'> {
  _id: string;
  attributes: string;
}

interface ClaimDocument {
  _id: string;
  tenant: string;
  key: string;
  uploadId: string;
  holder: string;
  leaseUntil: number;
  expiresAt: number;
}

interface LeaseDocument {
  /** The lease's name. */
  _id: string;
  holder: string;
  until: number;
}

export interface NodeDocument {
  /** The server's name. */
  _id: string;
  url: string;
  seenAt: number;
  weight?: number | null;
  draining?: boolean;
}

export interface Models {
  uploads: Model<UploadDocument>;
  resources: Model<ResourceDocument>;
  claims: Model<ClaimDocument>;
  leases: Model<LeaseDocument>;
  nodes: Model<NodeDocument>;
}

/**
 * The schemas name what conditions and indexes need. Everything else passes as it is: a record may have members that
 * only the next version knows, and they must stay.
 */
const OPEN = { strict: false, minimize: false, versionKey: false, id: false } satisfies SchemaOptions;

const ANY = Schema.Types.Mixed;

/** Each index is a query of upload-queries.ts or uploads.ts; the name tells an operator which. Ids are in time order. */
function uploadSchema() {
  const schema = new Schema<UploadDocument>(
    {
      _id: String,
      version: Number,
      tenant: String,
      state: String,
      strategy: String,
      resource: ANY,
      lease: ANY,
      location: ANY,
      backup: ANY,
      createdAt: Number,
      updatedAt: Number,
      expiresAt: Number,
      metadata: String,
      outbox: ANY,
    },
    OPEN,
  );
  schema.index({ tenant: 1, _id: -1 }, { name: 'by_tenant' });
  schema.index({ tenant: 1, state: 1, _id: -1 }, { name: 'by_state' });
  schema.index({ tenant: 1, strategy: 1, _id: -1 }, { name: 'by_strategy' });
  schema.index({ tenant: 1, 'resource.type': 1, 'resource.id': 1, _id: -1 }, { name: 'by_resource' });
  schema.index({ state: 1, _id: 1, updatedAt: 1, expiresAt: 1, 'lease.expiresAt': 1 }, { name: 'to_scan' });
  schema.index({ 'location.node': 1, state: 1, _id: 1 }, { name: 'by_node' });
  // Sparse, and only a backup that is still to be made has the member.
  schema.index({ 'backup.since': 1, state: 1 }, { name: 'to_back_up', sparse: true });
  schema.index({ state: 1, createdAt: 1 }, { name: 'oldest_of_state' });
  // Sparse, and an empty outbox has neither member: almost no record is in it.
  schema.index({ 'outbox.oldestAt': 1, 'outbox.size': 1 }, { name: 'undelivered', sparse: true });
  return schema;
}

function resourceSchema() {
  const schema = new Schema<ResourceDocument>({ _id: String, revision: Number, intent: ANY, updatedAt: Number, attributes: String }, OPEN);
  schema.index({ 'intent.revision': 1 }, { name: 'unsettled', sparse: true });
  return schema;
}

function claimSchema() {
  const schema = new Schema<ClaimDocument>({ _id: String, uploadId: String, holder: String, leaseUntil: Number, expiresAt: Number }, OPEN);
  schema.index({ expiresAt: 1 }, { name: 'to_sweep' });
  return schema;
}

const nodeSchema = () => new Schema<NodeDocument>({ _id: String, url: String, seenAt: Number, weight: Number, draining: Boolean }, OPEN);

const leaseSchema = () => new Schema<LeaseDocument>({ _id: String, holder: String, until: Number }, OPEN);

export const modelsOn = (connection: Connection): Models => ({
  uploads: connection.model<UploadDocument>('Upload', uploadSchema(), 'uploads'),
  resources: connection.model<ResourceDocument>('Resource', resourceSchema(), 'resources'),
  claims: connection.model<ClaimDocument>('IdempotencyClaim', claimSchema(), 'idempotency_claims'),
  leases: connection.model<LeaseDocument>('Lease', leaseSchema(), 'leases'),
  nodes: connection.model<NodeDocument>('Node', nodeSchema(), 'nodes'),
});
