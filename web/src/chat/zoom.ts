// How a picture lies under the eye: its scale, and how far its middle is from that of the screen. No screen in here.
export interface View {
  scale: number;
  x: number;
  y: number;
}

export const fromStart: View = { scale: 1, x: 0, y: 0 };
const scaleMost = 8;

// Larger or smaller by this factor, with what lies at (x, y), counted from the middle of the screen, staying there.
export function zoomed(v: View, by: number, x: number, y: number): View {
  const scale = Math.min(scaleMost, Math.max(1, v.scale * by));
  if (scale === 1) return fromStart;
  const ratio = scale / v.scale;
  return { scale, x: x - (x - v.x) * ratio, y: y - (y - v.y) * ratio };
}

// Whole in view, there is nothing to drag.
export function dragged(v: View, dx: number, dy: number): View {
  return v.scale === 1 ? v : { ...v, x: v.x + dx, y: v.y + dy };
}
