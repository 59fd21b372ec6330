/** Things of one kind: what each is (its key names exactly one), and what it looks like. */
export type Things = Readonly<Record<string, string>>;
