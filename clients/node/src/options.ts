/** What each option of `O` must be when it is there, and the words for it. */
export type Rules<O> = { readonly [N in keyof Required<O>]: readonly [is: (value: unknown) => boolean, words: string] };

/**
 * Throws a TypeError for an option that has no rule or breaks it: JavaScript passes over a mistyped name, and a guard would
 * ask for less than is written. No error quotes a value.
 */
export function checkOptions<O extends object>(options: O, rules: Rules<O>): void {
    if (!isObject(options)) {
        throw new TypeError(`The options are an object. There are ${Object.keys(rules).join(', ')}.`);
    }
    // Inherited ones are options, too.
    for (const name in options) {
        if (!Object.hasOwn(rules, name)) {
            throw new TypeError(`There is no option ${name}. There are ${Object.keys(rules).join(', ')}.`);
        }
    }
    for (const name of Object.keys(rules) as (keyof O & string)[]) {
        const [is, words] = rules[name];
        if (name in options && !is(options[name])) {
            throw new TypeError(`${name} is ${words}.`);
        }
    }
}

/** Lets undefined stand for the default. */
export function optional(is: (value: unknown) => boolean): (value: unknown) => boolean {
    return (value) => value === undefined || is(value);
}

export function isString(value: unknown): boolean {
    return typeof value === 'string';
}

export function isStrings(value: unknown): boolean {
    return Array.isArray(value) && value.every(isString);
}

export function isBoolean(value: unknown): boolean {
    return typeof value === 'boolean';
}

export function isObject(value: unknown): boolean {
    return typeof value === 'object' && value !== null;
}

export function isFunction(value: unknown): boolean {
    return typeof value === 'function';
}
