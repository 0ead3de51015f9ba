// Buttons and form controls: native elements with a label, a hint and an error that assistive technology finds.
import type { ComponentChildren, JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { Eye, EyeOff, LoaderCircle } from "lucide-preact";
import { t } from "../i18n/i18n";

type Icon = typeof Eye;
type ButtonKind = "primary" | "plain" | "quiet" | "danger";

export interface ButtonProps extends Omit<JSX.ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "size"> {
  kind?: ButtonKind;
  icon?: Icon;
  isBusy?: boolean;
  isBlock?: boolean;
}

export function Button({ kind = "plain", icon: Glyph, isBusy, isBlock, children, class: extra, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      class={`btn btn-${kind}${isBlock ? " btn-block" : ""}${extra ? ` ${String(extra)}` : ""}`}
      aria-busy={isBusy || undefined}
      disabled={rest.disabled || isBusy}
    >
      {isBusy ? <Spinner /> : Glyph && <Glyph size={18} aria-hidden="true" />}
      {children !== undefined && <span class="btn-text">{children}</span>}
    </button>
  );
}

export interface IconButtonProps extends Omit<JSX.ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "size" | "label"> {
  icon: Icon;
  label: string;
  size?: number;
}

export function IconButton({ icon: Glyph, label, size = 20, class: extra, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...rest}
      class={`icon-btn${extra ? ` ${String(extra)}` : ""}`}
    >
      <Glyph size={size} aria-hidden="true" />
    </button>
  );
}

export function Spinner() {
  return <LoaderCircle class="spinner" size={18} aria-hidden="true" />;
}

// After a submit that did not go through: to the first field that is wrong.
export function focusProblem(form: EventTarget | null): void {
  if (form instanceof HTMLElement) requestAnimationFrame(() => form.querySelector<HTMLElement>("[aria-invalid]")?.focus());
}

interface FieldShellProps {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
}

export interface FieldProps extends FieldShellProps, Omit<JSX.InputHTMLAttributes<HTMLInputElement>, "label" | "onInput" | "value"> {
  value: string;
  onValue: (value: string) => void;
  isLabelHidden?: boolean;
}

export function Field({ label, hint, error, value, onValue, isLabelHidden, class: extra, ...rest }: FieldProps) {
  const id = useId();
  const note = error ?? hint;
  return (
    <div class={`field${extra ? ` ${String(extra)}` : ""}`}>
      <label for={id} class={isLabelHidden ? "sr-only" : "field-label"}>
        {label}
      </label>
      <input
        {...rest}
        id={id}
        class="input"
        value={value}
        aria-invalid={error ? true : undefined}
        aria-describedby={note ? `${id}-note` : undefined}
        onInput={(e) => onValue(e.currentTarget.value)}
      />
      {note && (
        <p id={`${id}-note`} class={error ? "field-error" : "field-hint"}>
          {note}
        </p>
      )}
    </div>
  );
}

export function PasswordField(props: FieldProps) {
  const id = useId();
  const [isShown, setShown] = useState(false);
  const { label, hint, error, value, onValue, isLabelHidden: _, class: extra, ...rest } = props;
  const note = error ?? hint;
  return (
    <div class={`field${extra ? ` ${String(extra)}` : ""}`}>
      <label for={id} class="field-label">
        {label}
      </label>
      <div class="input-group">
        <input
          {...rest}
          id={id}
          type={isShown ? "text" : "password"}
          class="input"
          value={value}
          aria-invalid={error ? true : undefined}
          aria-describedby={note ? `${id}-note` : undefined}
          onInput={(e) => onValue(e.currentTarget.value)}
        />
        <IconButton
          icon={isShown ? EyeOff : Eye}
          size={18}
          label={t(isShown ? "password.hide" : "password.show")}
          aria-pressed={isShown}
          onClick={() => setShown(!isShown)}
        />
      </div>
      {note && (
        <p id={`${id}-note`} class={error ? "field-error" : "field-hint"}>
          {note}
        </p>
      )}
    </div>
  );
}

export function TextArea(props: FieldShellProps & { value: string; onValue: (v: string) => void; maxLength?: number; rows?: number }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id} class="field-label">
        {props.label}
      </label>
      <textarea
        id={id}
        class="input"
        rows={props.rows ?? 3}
        maxLength={props.maxLength}
        value={props.value}
        aria-describedby={props.hint ? `${id}-note` : undefined}
        onInput={(e) => props.onValue(e.currentTarget.value)}
      />
      {props.hint && (
        <p id={`${id}-note`} class="field-hint">
          {props.hint}
        </p>
      )}
    </div>
  );
}

export interface Option {
  value: string;
  text: string;
}

export interface SelectProps extends Omit<JSX.SelectHTMLAttributes<HTMLSelectElement>, "label" | "icon"> {
  label: string;
  value: string;
  options: Option[];
  onValue: (value: string) => void;
  icon?: Icon;
  isLabelHidden?: boolean;
  hint?: string;
}

export function Select({ label, value, options, onValue, icon: Glyph, isLabelHidden, hint, ...rest }: SelectProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id} class={isLabelHidden ? "sr-only" : "field-label"}>
        {label}
      </label>
      <div class={`select${Glyph ? " has-icon" : ""}`}>
        {Glyph && <Glyph size={18} aria-hidden="true" />}
        <select
          {...rest}
          id={id}
          class="input"
          value={value}
          aria-describedby={hint ? `${id}-note` : undefined}
          onChange={(e) => onValue(e.currentTarget.value)}
        >
          {options.map((o) => (
            <option key={o.value} value={o.value} selected={o.value === value}>
              {o.text}
            </option>
          ))}
        </select>
      </div>
      {hint && (
        <p id={`${id}-note`} class="field-hint">
          {hint}
        </p>
      )}
    </div>
  );
}

export function Switch(props: { label: string; hint?: string; checked: boolean; onChange: (v: boolean) => void; disabled?: boolean }) {
  const id = useId();
  return (
    <div class="switch-row">
      <label for={id} class="switch-text">
        <span>{props.label}</span>
        {props.hint && (
          <span id={`${id}-note`} class="field-hint">
            {props.hint}
          </span>
        )}
      </label>
      <input
        id={id}
        type="checkbox"
        role="switch"
        class="switch"
        checked={props.checked}
        disabled={props.disabled}
        aria-describedby={props.hint ? `${id}-note` : undefined}
        onChange={(e) => props.onChange(e.currentTarget.checked)}
      />
    </div>
  );
}

// A few choices of which one holds: radios in the dress of a segmented control.
export function Segmented(props: { label: string; value: string; options: Option[]; onValue: (v: string) => void; isLabelHidden?: boolean }) {
  const name = useId();
  return (
    <fieldset class="segmented">
      <legend class={props.isLabelHidden ? "sr-only" : "field-label"}>{props.label}</legend>
      <div class="segmented-row">
        {props.options.map((o) => (
          <label key={o.value} class="segment">
            <input
              type="radio"
              class="sr-only"
              name={name}
              value={o.value}
              checked={o.value === props.value}
              onChange={() => props.onValue(o.value)}
            />
            <span>{o.text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export type NoteKind = "info" | "warn" | "bad" | "good";

export function Note(props: { kind: NoteKind; icon: Icon; children: ComponentChildren; role?: "alert" | "status" }) {
  const Glyph = props.icon;
  return (
    <div class={`note note-${props.kind}`} role={props.role}>
      <Glyph size={18} aria-hidden="true" />
      <div class="note-body">{props.children}</div>
    </div>
  );
}
