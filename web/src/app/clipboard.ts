// Copying, with the old way for pages that are not in a secure context.
import { t } from "../i18n/i18n";
import { toast } from "../ui/toast";

function copyOldWay(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  // A modal dialog makes everything outside itself inert.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

export async function copyText(text: string, done: string): Promise<void> {
  let isCopied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    isCopied = copyOldWay(text);
  }
  toast(isCopied ? done : t("copy.failed"), isCopied ? "good" : "bad");
}
