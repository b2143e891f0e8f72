import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Frame } from 'playwright-core';
import type { Workbench } from './workbench.ts';

/** A token of the panel's strip, as a screen reader hears it. */
export interface StripToken {
  readonly label: string;
  /** `+0.931`, as written. */
  readonly value: string;
  readonly selected: boolean;
}

/** A finding of axe. */
export interface AxeFinding {
  readonly id: string;
  readonly impact: string | null;
  readonly help: string;
  readonly nodes: readonly string[];
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The trace panel of a workbench, read by role and name. */
export class TracePanel {
  private constructor(
    private readonly workbench: Workbench,
    readonly frame: Frame,
  ) {}

  /** Waits for the panel to show a finished trace. */
  static async of(workbench: Workbench): Promise<TracePanel> {
    const panel = new TracePanel(workbench, await workbench.webview());
    await panel.frame.locator('main[data-status="ready"]').waitFor({ timeout: 120_000 });
    return panel;
  }

  /** The finding: `␣she − ␣he = +1.60 logits`. */
  async title(): Promise<string> {
    return (await this.frame.locator('h1').textContent()) ?? '';
  }

  async subtitle(): Promise<string> {
    return (await this.frame.locator('header .m-subtitle').textContent()) ?? '';
  }

  async tokens(): Promise<StripToken[]> {
    const options = await this.frame
      .locator('[role="listbox"] [role="option"]')
      .evaluateAll((elements) =>
        elements.map((e) => ({ label: e.getAttribute('aria-label') ?? '', on: e.getAttribute('aria-selected') })),
      );
    return options.map(({ label, on }) => ({
      label,
      value: /, ([+−]?[\d.e−]+) logits$/.exec(label)?.[1] ?? '',
      selected: on === 'true',
    }));
  }

  /** Clicks the token at a 1-based position. */
  async clickToken(position: number): Promise<void> {
    await this.frame
      .locator('[role="listbox"] [role="option"]')
      .nth(position - 1)
      .click();
  }

  /** Waits until the panel's title differs from `before`, and returns the new one. */
  titleAfter(before: string): Promise<string> {
    return this.workbench.until('a new title in the panel', async () => {
      const title = await this.title().catch(() => before);
      return title === before ? null : title;
    });
  }
}

/** Findings of axe in a webview, all rules of WCAG 2 A, AA and best practices. */
export async function readAxe(frame: Frame): Promise<AxeFinding[]> {
  await frame.evaluate(axeSource);
  return frame.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(): Promise<{
          violations: { id: string; impact: string | null; help: string; nodes: { html: string }[] }[];
        }>;
      };
    };
    const { violations } = await axe.run();
    return violations.map(({ id, impact, help, nodes }) => ({
      id,
      impact,
      help,
      nodes: nodes.slice(0, 5).map(({ html }) => html.slice(0, 300)),
    }));
  });
}
