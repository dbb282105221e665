// Runs one of these test files under the 32-bit WebAssembly port of MicroPython, whose small integers end at 2**30:
//     node run_wasm.mjs MICROPYTHON_MJS FIRMWARE_FOLDER TESTS_FOLDER test_rtp.py
import fs from "node:fs";
import path from "node:path";

const HEAP_BYTES = 16 * 1024 * 1024; // this port collects garbage only between top-level calls
const PYSTACK_WORDS = 16 * 1024;

const [micropython, firmware, tests, file] = process.argv.slice(2);
const { loadMicroPython } = await import(path.resolve(micropython));
const mp = await loadMicroPython({ heapsize: HEAP_BYTES, pystack: PYSTACK_WORDS, stdout: (line) => process.stdout.write(line + "\n") });

function copyFiles(from, to) {
    for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
        const source = path.join(from, entry.name);
        if (entry.isDirectory()) {
            mp.FS.mkdir(`${to}/${entry.name}`);
            copyFiles(source, `${to}/${entry.name}`);
        } else if (entry.name.endsWith(".py") || entry.name.endsWith(".json")) {
            mp.FS.writeFile(`${to}/${entry.name}`, fs.readFileSync(source));
        }
    }
}

for (const [from, to] of [[tests, "/tests"], [path.join(tests, "../vectors"), "/vectors"], [firmware, "/firmware"]]) {
    mp.FS.mkdir(to);
    copyFiles(from, to);
}
mp.runPython(`
import sys
sys.path[:] = ["/tests", "/firmware"]
import run
run.stand_in_for_crypto()
n_failed = run.run_file("${file}")
`);
process.exit(mp.globals.get("n_failed") ? 1 : 0);
