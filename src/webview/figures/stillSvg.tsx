import type { ComponentChildren, VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { numberWidth } from './text.ts';
import type { Theme } from './theme.ts';

/** Breaks text into lines of at most `width` px, estimated; words are never cut. */
export function wrapText(text: string, width: number, fontSize: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && numberWidth(longer, fontSize) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === '' ? lines : [...lines, line];
}

/** Lines of text in an exported figure. */
export function StillText(props: {
  theme: Theme;
  lines: readonly string[];
  x: number;
  y: number;
  size: number;
  strong?: boolean;
}): VNode {
  const { theme, lines, x, y, size, strong } = props;
  return (
    <g
      font-family={theme.uiFont}
      font-size={size}
      font-weight={strong ? 600 : 400}
      fill={strong ? theme.palette.foreground : theme.palette.secondary}
    >
      {lines.map((line, i) => (
        <text key={i} x={x} y={y + i * (size + 5)}>
          {line}
        </text>
      ))}
    </g>
  );
}

/** A figure as a file of its own: resolved colours, background, title; no variables, no classes needed. */
export function svgFile(props: {
  theme: Theme;
  title: string;
  width: number;
  height: number;
  children: ComponentChildren;
}): string {
  const { theme, title, width, height, children } = props;
  const svg = (
    <svg xmlns="http://www.w3.org/2000/svg" width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
      <title>{title}</title>
      <rect width={width} height={height} fill={theme.palette.background} />
      {children}
    </svg>
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${xmlSafe(renderToString(svg))}\n`;
}

/**
 * XML 1.0 forbids most control characters even when escaped, and halves of surrogate pairs (a token may end within a
 * character). Tokens show their controls as `\x..` already, prompts may not.
 */
function xmlSafe(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\ufffe\uffff]/gu, (c) => (c === '\n' || c === '\t' || c === '\r' ? c : '\ufffd'));
}

/** Paints an SVG file at `scale` × its size and returns PNG bytes. Needs a page whose CSP allows `data:` images. */
export async function svgToPng(svg: string, scale = 2): Promise<Uint8Array> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth * scale;
  canvas.height = image.naturalHeight * scale;
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('This page has no canvas.');
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (blob === null) throw new Error('The picture could not be encoded.');
  return new Uint8Array(await blob.arrayBuffer());
}
