export interface TenantLabelOptions {
  /** Tenants that get a label of their own; all further ones share one. */
  max: number;
}

/** Keeps the label `tenant` bounded, however many tenants there are. */
export class TenantLabel {
  static readonly OTHER = 'other';
  readonly #max: number;
  readonly #enabled: boolean;
  readonly #labels = new Map<string, { tenant: string }>();
  readonly #other = { tenant: TenantLabel.OTHER };
  readonly #onNew: (label: string) => void;

  /** `onNew` is told each label before it is first used. */
  constructor(options: TenantLabelOptions | null, onNew: (label: string) => void) {
    this.#enabled = options !== null;
    this.#max = options?.max ?? 0;
    this.#onNew = onNew;
    if (options) onNew(TenantLabel.OTHER);
  }

  of(tenant: string): { tenant?: string } {
    if (!this.#enabled) return {};
    const known = this.#labels.get(tenant);
    if (known) return known;
    if (this.#labels.size >= this.#max) return this.#other;
    const label = { tenant };
    this.#labels.set(tenant, label);
    this.#onNew(tenant);
    return label;
  }
}
