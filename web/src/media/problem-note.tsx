// Why a device gives nothing, and what to do next.
import { MicOff, VideoOff } from "lucide-preact";
import { maybeText, t } from "../i18n/i18n";
import { Button, Note } from "../ui/controls";
import { open, type Kind, type Problem } from "./devices";

export function problemText(kind: Kind, problem: Problem): string {
  return maybeText(`problem.${problem}.${kind}`) ?? maybeText(`problem.${problem}`) ?? t("error.unknown");
}

export function ProblemNote({ kind, problem }: { kind: Kind; problem: Problem }) {
  // A blocked page is not asked again until the person changes it; the rest may work on a second try.
  const canRetry = problem !== "insecure";
  return (
    <Note kind="warn" icon={kind === "microphone" ? MicOff : VideoOff}>
      <p>{problemText(kind, problem)}</p>
      {canRetry && (
        <Button kind="quiet" class="note-action" onClick={() => void open(kind)}>
          {t("retry")}
        </Button>
      )}
    </Note>
  );
}
