// The account's settings: one section a matter, each saved by itself.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Appearance } from "./settings-appearance";
import { PasswordForm } from "./settings-password";
import { ProfileForm } from "./settings-profile";
import { SignIns } from "./settings-sessions";

function Section({ title, text, children }: { title: string; text: string; children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="setting" aria-labelledby={id}>
      <div class="setting-head">
        <h2 id={id}>{title}</h2>
        <p class="meta">{text}</p>
      </div>
      <div class="card setting-card">{children}</div>
    </section>
  );
}

export default function Settings() {
  useTitle(t("nav.settings"));
  return (
    <div class="page-inner">
      <header class="page-head">
        <h1>{t("nav.settings")}</h1>
      </header>
      <Section title={t("profile.title")} text={t("profile.text")}>
        <ProfileForm />
      </Section>
      <Section title={t("appearance.title")} text={t("appearance.text")}>
        <Appearance />
      </Section>
      <Section title={t("passwordChange.title")} text={t("passwordChange.text")}>
        <PasswordForm />
      </Section>
      <Section title={t("sessions.title")} text={t("sessions.text")}>
        <SignIns />
      </Section>
    </div>
  );
}
