// Requests that a page can send without the browser asking the server first. Each runs in the page, which has an iframe
// called `frame`, posts to `url`, and ends with what the page can read of the answer.

const key = '{"name": "n", "subject": "user_1"}';

/** Each, with the arguments that it is to have behind `url`. */
export const unasked = {
    'fetch of text': [fetchOf, 'text/plain', key],
    'fetch of a form': [fetchOf, 'application/x-www-form-urlencoded', key],
    'fetch of a form in parts': [fetchOf, 'multipart/form-data', key],
    'fetch of bytes': [fetchOf, '', key],
    'beacon of text': [beaconOf, 'text/plain', key],
    // It is one that the browser asks for, but pages could once send it unasked.
    'beacon of JSON': [beaconOf, 'application/json', key],
    'form of text': [formOf, 'text/plain', '{"name": "n", "subject": "user_1", "description": "', '"}'],
    form: [formOf, 'application/x-www-form-urlencoded', 'name', 'n'],
    'form in parts': [formOf, 'multipart/form-data', 'name', 'n'],
};

async function fetchOf([url, type, body]) {
    // A Blob without a type has the request say none.
    const answer = await fetch(url, { method: 'POST', mode: 'no-cors', body: new Blob([body], { type }) });
    return answer.status || (await answer.text());
}

function beaconOf([url, type, body]) {
    navigator.sendBeacon(url, new Blob([body], { type }));
    return '';
}

async function formOf([url, type, name, value]) {
    const frame = document.querySelector('iframe');
    const form = Object.assign(document.createElement('form'), { method: 'post', action: url, target: frame.name });
    form.enctype = type;
    form.append(Object.assign(document.createElement('input'), { name, value }));
    document.body.append(form);
    const loaded = new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
    form.submit();
    await loaded;
    return frame.contentDocument?.body.textContent ?? '';
}
