// How messages are shown, and how near names are found.

import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";

import {
  ANSI_STYLE,
  type Diagnostic,
  didYouMean,
  editDistance,
  renderDiagnostic,
  suggestNames,
} from "../../lib/eval/diagnostic.ts";
import { Source } from "../../lib/eval/source.ts";

const source = Source.string("let a = 1;\n\tb = 2; in\na + c\n");

function diagnostic(more: Partial<Diagnostic> = {}): Diagnostic {
  const at = source.text.indexOf("c\n");
  return {
    severity: "error",
    code: "ERR_TEST",
    message: "undefined variable 'c'",
    labels: [{ source, start: at, end: at + 1, text: "not found" }],
    ...more,
  };
}

describe("rendering", () => {
  test("shows the line, the label, notes and help", () => {
    const text = renderDiagnostic(diagnostic({ notes: ["first note"], help: "did you mean 'a'?" }));
    expect(text.split("\n")).toEqual([
      "error: undefined variable 'c'",
      " --> «string»:3:5",
      "  |",
      "3 | a + c",
      "  |     ^ not found",
      "  = note: first note",
      "  = help: did you mean 'a'?",
    ]);
  });

  test("keeps labels of several lines in order, marks what is skipped, and aligns tabs", () => {
    const b = source.text.indexOf("b =");
    const labels = [...diagnostic().labels, { source, start: b, end: b + 1, text: "defined here" }];
    const first = { source, start: 4, end: 5, text: "" };
    expect(renderDiagnostic(diagnostic({ labels })).split("\n").slice(2)).toEqual([
      "  |",
      "2 |     b = 2; in",
      "  |     ^ defined here",
      "3 | a + c",
      "  |     ^ not found",
    ]);
    const skipping = renderDiagnostic(diagnostic({ labels: [...diagnostic().labels, first] })).split("\n");
    expect(skipping).toContain("...");
  });

  test("counts characters, not bytes, in the underline", () => {
    const text = Source.string('"é" + x');
    const labels = [{ source: text, start: 7, end: 8, text: "" }];
    expect(renderDiagnostic(diagnostic({ labels })).split("\n").at(-1)).toBe("  |       ^");
  });

  test("cuts very long lines and shows control characters", () => {
    const long = Source.string(`\u0007${"x".repeat(5000)}`);
    const lines = renderDiagnostic(diagnostic({ labels: [{ source: long, start: 0, end: 5000, text: "" }] }));
    expect(Math.max(...lines.split("\n").map((line) => line.length))).toBeLessThan(200);
    expect(lines).toContain("\ufffd");
  });

  test("shows the part of a very long line that is meant", () => {
    const long = Source.string(`${"é".repeat(2000)} wrong ${"y".repeat(2000)}`);
    const lines = renderDiagnostic(diagnostic({ labels: [{ source: long, start: 4001, end: 4006, text: "" }] })).split(
      "\n",
    );
    expect(lines[3]).toMatch(/^1 \| … é+ wrong y+ …$/);
    expect(lines[4]?.indexOf("^^^^^")).toBe(lines[3]?.indexOf("wrong"));
  });

  test("marks a label at the end of the text and one over several lines", () => {
    const end = source.text.length;
    expect(renderDiagnostic(diagnostic({ labels: [{ source, start: end, end, text: "" }] }))).toContain("4:1");
    const all = renderDiagnostic(diagnostic({ labels: [{ source, start: 0, end, text: "" }] }));
    expect(all.split("\n").at(-1)).toBe("  | ^^^^^^^^^^");
  });

  test("lists the trace up to a limit", () => {
    const trace = ["one", "two", "three"].map((text) => ({ text, label: { source, start: 4, end: 5, text: "" } }));
    expect(renderDiagnostic(diagnostic({ labels: [], trace }), { traceLimit: 2 }).split("\n")).toEqual([
      "error: undefined variable 'c'",
      "  … one («string»:1:5)",
      "  … two («string»:1:5)",
      "  … and 1 more",
    ]);
  });

  test("colours only with a style", () => {
    expect(renderDiagnostic(diagnostic())).not.toContain("\u001b");
    expect(renderDiagnostic(diagnostic({ severity: "warning" }), { style: ANSI_STYLE })).toContain(
      "\u001b[35;1mwarning:",
    );
  });

  test("does not fail on any bytes and spans", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), fc.nat(60), (bytes, a, b) => {
        const any = Source.string(bytes);
        const start = Math.min(a, b, bytes.length);
        const end = Math.min(Math.max(a, b), bytes.length);
        const text = renderDiagnostic(diagnostic({ labels: [{ source: any, start, end, text: "here" }] }));
        expect(text).toContain("here");
      }),
    );
  });
});

describe("suggestions", () => {
  test("are near names, nearest first", () => {
    expect(suggestNames("lenght", ["length", "lenghts", "head", "tail"])).toEqual(["length", "lenghts"]);
    expect(suggestNames("x", ["y", "abc"])).toEqual(["y"]);
    expect(suggestNames("mkDerivaton", ["mkDerivation", "mkShell"])).toEqual(["mkDerivation"]);
    expect(suggestNames("a", [])).toEqual([]);
  });

  test("are put in words", () => {
    expect(didYouMean([])).toBeUndefined();
    expect(didYouMean(["a"])).toBe("did you mean 'a'?");
    expect(didYouMean(["a", "b", "c"])).toBe("did you mean one of 'a', 'b' or 'c'?");
  });

  test("measure edits as a metric does", () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b, 100);
        expect(editDistance(b, a, 100)).toBe(distance);
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});
