export const STATES = ['pending', 'queued', 'relaying', 'verifying', 'stored', 'failed', 'expired', 'deleted'];
export const STRATEGIES = ['direct', 'relay', 'presign'];

const FINAL = new Set(['stored', 'failed', 'expired', 'deleted']);

/** Whether nothing follows by itself. */
export const isFinal = (state) => FINAL.has(state);

/** Whether nothing can come of it any more. */
export const isDead = (state) => state !== 'stored' && FINAL.has(state);

/** What a state means to whoever waits. */
export const MEANING = {
  pending: 'Waiting for the bytes.',
  queued: 'Safe on the server; waiting for a worker to move it to the object store.',
  relaying: 'A worker is moving it to the object store.',
  verifying: 'The server is checking what arrived in the object store.',
  stored: 'Stored.',
  failed: 'Failed.',
  expired: 'Not completed in time; what had arrived is removed.',
  deleted: 'Deleted.',
};
