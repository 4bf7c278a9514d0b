// The shop's colour, made readable: text on it gets black or white, and text in it is darkened or lightened.

type Rgb = [number, number, number];

/** Any CSS colour, read back by the browser; undefined when it is none. */
function parse(colour: string): Rgb | undefined {
  const probe = document.createElement('canvas').getContext('2d');
  if (!probe || !CSS.supports('color', colour)) return undefined;
  probe.fillStyle = colour;
  const hex = /^#(..)(..)(..)$/.exec(probe.fillStyle);
  return hex ? [parseInt(hex[1]!, 16), parseInt(hex[2]!, 16), parseInt(hex[3]!, 16)] : undefined;
}

/** Relative luminance by WCAG 2. */
export function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Contrast ratio by WCAG 2, 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** Moves a colour towards black or white until it reads well (4.5:1) on `ground`. */
export function readable(rgb: Rgb, ground: Rgb): Rgb {
  const target = luminance(ground) > 0.4 ? 0 : 255;
  let mixed = rgb;
  for (let step = 0; step < 20 && contrast(mixed, ground) < 4.5; step++) {
    mixed = mixed.map((value) => Math.round(value + (target - value) * 0.1)) as Rgb;
  }
  return mixed;
}

/** Sets the custom properties that the style sheet builds on. */
export function applyColour(host: HTMLElement, colour: string | undefined): void {
  const rgb = colour ? parse(colour) : undefined;
  if (!rgb) return;
  const css = (value: Rgb): string => `rgb(${value.join(' ')})`;
  const white: Rgb = [255, 255, 255];
  const ink: Rgb = [0, 0, 0];
  host.style.setProperty('--accent', css(rgb));
  host.style.setProperty('--on-accent', css(contrast(rgb, white) >= 4.5 ? white : ink));
  // Against the greys of bubbles, which are the harder grounds: --raised in the style sheet.
  host.style.setProperty('--accent-text-light', css(readable(rgb, [241, 243, 247])));
  host.style.setProperty('--accent-text-dark', css(readable(rgb, [38, 44, 56])));
}
