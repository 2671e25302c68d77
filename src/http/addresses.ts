/** What the addresses in answers begin with. */
export interface Addresses {
  /** Address that clients reach this server by. */
  publicUrl: string;
  /** Address that the content of uploads is read by; that of a CDN, where there is one. */
  contentUrl: string;
}
