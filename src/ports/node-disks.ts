import type { Disk } from './disk.ts';

/** What can be done with the files on any server's disk. New files are only ever put among the direct ones. */
export type NodeDisk = Pick<Disk, 'stat' | 'read' | 'remove'>;
export type WritableNodeDisk = NodeDisk & Pick<Disk, 'create'>;

/**
 * The disks of all servers, by the names that records give (`location.node`, `spool.node`). Failure contract as for Disk;
 * besides, what another server keeps is `node_unavailable` while that server does not answer: from a method, or as the
 * error of a stream that could not be resumed. It may pass.
 */
export interface NodeDisks {
  spoolOf(node: string): NodeDisk;
  directOf(node: string): WritableNodeDisk;
}
