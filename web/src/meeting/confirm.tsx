// Asking before something that cannot be taken back: one question at a time, drawn by the meeting's view.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { Confirm } from "../ui/dialog";
import { toastError } from "../ui/toast";

interface Question {
  title: string;
  text: string;
  action: string;
  isDanger?: boolean;
  run: () => Promise<unknown>;
}

const question = signal<Question | null>(null);

export function confirmAction(q: Question): void {
  question.value = q;
}

export function ConfirmHost() {
  const [isBusy, setBusy] = useState(false);
  const q = question.value;
  if (!q) return null;
  const confirm = async () => {
    setBusy(true);
    try {
      await q.run();
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
    question.value = null;
  };
  return (
    <Confirm
      title={q.title}
      text={q.text}
      action={q.action}
      isDanger={q.isDanger ?? false}
      isBusy={isBusy}
      onConfirm={() => void confirm()}
      onClose={() => (question.value = null)}
    />
  );
}
