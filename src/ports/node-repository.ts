/** A server that keeps files on a disk of its own, and where others reach it. */
export interface NodeEntry {
  name: string;
  /** Address below which it answers internal requests, without a slash at the end. */
  url: string;
  /** When it last registered; epoch ms. */
  seenAt: number;
}

/** The servers by name. Failure contract as for the upload repository. */
export interface NodeRepository {
  /** Writes the entry, in place of the one that has its name. */
  register(entry: NodeEntry): Promise<void>;
  find(name: string): Promise<NodeEntry | null>;
}
