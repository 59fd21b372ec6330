declare const TAPIR_VERSION: string | undefined;

/** Set by the bundler; from source it is the development version. */
export const version = typeof TAPIR_VERSION === "string" ? TAPIR_VERSION : "0.0.0-dev";
