/** The same as package.json's (version.test.ts looks): the guest has no package.json. */
export const AGENT_VERSION = "0.1.0";
/** Major number of the API in proto/tapir/agent/v1. */
export const API_VERSION = 1;
