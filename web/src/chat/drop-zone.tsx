// Files dragged over a conversation: says so, and takes them when they are let go.
import { useState } from "preact/hooks";
import { t } from "../i18n/i18n";

export function useDropZone(isOpen: boolean, onFiles: (files: File[]) => void) {
  const [isOver, setOver] = useState(false);
  const hasFiles = (e: DragEvent) => isOpen && (e.dataTransfer?.types.includes("Files") ?? false);
  const zone = {
    onDragOver: (e: DragEvent) => {
      if (!hasFiles(e)) return;
      e.preventDefault();
      setOver(true);
    },
    onDragLeave: (e: DragEvent) => {
      if (!(e.currentTarget as Element).contains(e.relatedTarget as Node | null)) setOver(false);
    },
    onDrop: (e: DragEvent) => {
      setOver(false);
      if (!hasFiles(e)) return;
      e.preventDefault();
      onFiles([...(e.dataTransfer?.files ?? [])]);
    },
  };
  const sign = isOver && <div class="drop-sign">{t("chat.file.drop")}</div>;
  return { zone, sign };
}
