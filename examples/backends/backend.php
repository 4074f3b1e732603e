<?php
// A backend in PHP 8, without packages: php backend.php publish alice hi | token alice | place alice; php -S 127.0.0.1:8090 backend.php

function publish(string $user, string $text): void {
    $url = getenv('API_URL') . '/u/' . rawurlencode($user) . '/publish';
    $headers = ['Authorization: Bearer ' . getenv('ENCKE_API_KEY'), 'Content-Type: application/json'];
    $request = ['method' => 'POST', 'header' => $headers, 'content' => json_encode(['text' => $text]), 'timeout' => 5];
    $answer = file_get_contents($url, false, stream_context_create(['http' => $request]));
    if ($answer === false) exit(1);
    echo $answer, "\n";
}

function token(string $user): void {
    $encode = fn(string $part): string => rtrim(strtr(base64_encode($part), '+/', '-_'), '=');
    $claims = ['sub' => $user, 'exp' => time() + 3600, 'channels' => ['/chat/**' => 'rw', '/news/**' => 'rw']];
    $message = $encode(json_encode(['alg' => 'HS256', 'typ' => 'JWT'])) . '.' . $encode(json_encode($claims));
    echo $message, '.', $encode(hash_hmac('sha256', $message, getenv('ENCKE_TOKEN_KEY'), true)), "\n";
}

/** The slot of a user, and its home and deputy among up to 100 nodes. */
function place(string $user): void {
    $slot = crc32($user) % 16384;
    $rank = fn(string $node): string => substr(hash('sha256', "$node/$slot", true), 0, 8);
    $nodes = explode(',', getenv('NODE_NAMES'));
    usort($nodes, fn(string $a, string $b): int => strcmp($rank($b), $rank($a)));
    echo implode(' ', [$slot, ...array_slice($nodes, 0, 2)]), "\n";
}

function hook(): void {
    $event = json_decode(file_get_contents('php://input'));
    $news = $event->event === 'publish' && str_starts_with($event->channel, '/news/');
    http_response_code($news && $event->user !== 'editor' ? 403 : 200);
    header('Content-Type: application/json');
    echo json_encode($event->event === 'service' ? ['data' => ['asked' => $event->data]] : (object) []);
}

if (PHP_SAPI === 'cli-server') hook();
else match ($argv[1]) {
    'publish' => publish($argv[2], $argv[3]),
    'token' => token($argv[2]),
    'place' => place($argv[2]),
};
