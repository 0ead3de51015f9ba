// What the connection check found, in words.
import { useEffect, useState } from "preact/hooks";
import { CircleCheck, LoaderCircle, TriangleAlert } from "lucide-preact";
import { t } from "../i18n/i18n";
import { checkConnection, type Verdict } from "./connection";

export function useVerdict(): { verdict: Verdict; again: () => void } {
  const [verdict, setVerdict] = useState<Verdict>({ state: "checking" });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let isStale = false;
    setVerdict({ state: "checking" });
    void checkConnection().then((v) => isStale || setVerdict(v));
    return () => void (isStale = true);
  }, [attempt]);
  useEffect(() => {
    const onOnline = () => setAttempt((n) => n + 1);
    addEventListener("online", onOnline);
    return () => removeEventListener("online", onOnline);
  }, []);
  return { verdict, again: () => setAttempt(attempt + 1) };
}

export function VerdictLine({ verdict, onAgain }: { verdict: Verdict; onAgain: () => void }) {
  const isGood = verdict.state === "good";
  const isBusy = verdict.state === "checking";
  const Glyph = isBusy ? LoaderCircle : isGood ? CircleCheck : TriangleAlert;
  return (
    <p class={`verdict is-${isBusy ? "busy" : isGood ? "good" : "bad"}`} role="status">
      <Glyph size={16} class={isBusy ? "spinner" : ""} aria-hidden="true" />
      <span>
        {t(`verdict.${verdict.state}`, "roundTripMs" in verdict ? { ms: verdict.roundTripMs } : {})}
        {!isBusy && !isGood && (
          <>
            {" "}
            <button type="button" class="link" onClick={onAgain}>
              {t("retry")}
            </button>
          </>
        )}
      </span>
    </p>
  );
}
