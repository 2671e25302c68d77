/** A server that keeps files on a disk of its own, and where others reach it. */
export interface NodeEntry {
  name: string;
  /** Address below which it answers internal requests, without a slash at the end. */
  url: string;
  /** When it last registered; epoch ms. */
  seenAt: number;
  /** Its share of the direct files that servers place among themselves; null for a server that takes no part. */
  weight: number | null;
  /** It is being emptied, and gets no new files. */
  draining: boolean;
}

/** The servers by name. Failure contract as for the upload repository. */
export interface NodeRepository {
  /** Writes the entry, in place of the one that has its name; whether that one is draining stays as it is. */
  register(entry: Omit<NodeEntry, 'draining'>): Promise<void>;
  find(name: string): Promise<NodeEntry | null>;
  /** All of them, in any order. */
  list(): Promise<NodeEntry[]>;
  /** False when there is no such server. */
  setDraining(name: string, draining: boolean): Promise<boolean>;
  /** Removes the entry of a draining server that has not registered since `seenBefore` (epoch ms). False when it stays. */
  removeDrained(name: string, seenBefore: number): Promise<boolean>;
}
