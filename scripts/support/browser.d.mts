/** Path of Chromium, Chrome or Edge, or null. */
export function findBrowser(): string | null;
