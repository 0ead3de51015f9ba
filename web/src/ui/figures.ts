// Figures with their units, as the reader's language writes them.
import { locale } from "../i18n/i18n";

export function rateText(bps: number): string {
  const isMega = bps >= 1e6;
  const format = new Intl.NumberFormat(locale(), { maximumFractionDigits: isMega ? 1 : 0 });
  return `${format.format(bps / (isMega ? 1e6 : 1e3))} ${isMega ? "Mbit/s" : "kbit/s"}`;
}
