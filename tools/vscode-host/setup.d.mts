/** Why this machine cannot run the browser-hosted VS Code, or null when it can. */
export function hostUnavailable(): string | null;
export function hostPaths(): { readonly server: string; readonly node: string };
export function setUpHost(options?: { readonly log?: (line: string) => void }): Promise<void>;
