/** A logger that keeps what it is told. */
export class Log {
    warnings: string[] = [];
    errors: string[] = [];

    warn(line: string): void {
        this.warnings.push(line);
    }

    error(line: string): void {
        this.errors.push(line);
    }
}
