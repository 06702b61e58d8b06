// A browser to test with: the Chromium that PORTCULLIS_TEST_CHROMIUM names, with a profile of its own.

import { chromium } from 'playwright-core';

/** Starts one. None of its operations has a time limit. */
export async function startChromium() {
    const browser = await chromium.launch({
        executablePath: process.env.PORTCULLIS_TEST_CHROMIUM ?? '/usr/bin/chromium',
        // It opens only pages that the tests serve, and cannot have a sandbox where root runs them.
        chromiumSandbox: false,
        args: ['--disable-gpu', '--disable-quic', '--disable-component-update', '--disable-sync'],
        timeout: 0,
    });
    const context = await browser.newContext();
    context.setDefaultTimeout(0);
    return { context, stop: () => browser.close() };
}
