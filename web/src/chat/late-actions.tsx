// What one can do with a message, drawn when there is time: rows that fly past go without, with the room for it kept.
import type { ReadonlySignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Actions, type ActionsProps } from "./message-actions";

export function LateActions({ isBare, ...props }: ActionsProps & { isBare: ReadonlySignal<boolean> | undefined }) {
  const isDrawn = useRef(false);
  isDrawn.current ||= !isBare?.value;
  return isDrawn.current ? <Actions {...props} /> : <div class="msg-actions is-coming" />;
}
