// A backend in Go, without modules: go run backend.go publish alice hi | token alice | place alice | hook 8090
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"
)

func publish(user, text string) {
	body, _ := json.Marshal(map[string]string{"text": text})
	to := os.Getenv("API_URL") + "/u/" + url.PathEscape(user) + "/publish"
	request, _ := http.NewRequest("POST", to, bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("ENCKE_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, answer.Body)
}

func token(user string) {
	encode := base64.RawURLEncoding.EncodeToString
	channels := map[string]string{"/chat/**": "rw", "/news/**": "rw"}
	claims, _ := json.Marshal(map[string]any{"sub": user, "exp": time.Now().Unix() + 3600, "channels": channels})
	message := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(os.Getenv("ENCKE_TOKEN_KEY")))
	mac.Write([]byte(message))
	os.Stdout.WriteString(message + "." + encode(mac.Sum(nil)) + "\n")
}

// The slot of a user, and its home and deputy among up to 100 nodes.
func place(user string) {
	slot := crc32.ChecksumIEEE([]byte(user)) % 16384
	rank := func(node string) []byte {
		sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%d", node, slot)))
		return sum[:8]
	}
	nodes := strings.Split(os.Getenv("NODE_NAMES"), ",")
	sort.Slice(nodes, func(a, b int) bool { return bytes.Compare(rank(nodes[a]), rank(nodes[b])) > 0 })
	if len(nodes) > 2 {
		nodes = nodes[:2]
	}
	fmt.Println(slot, strings.Join(nodes, " "))
}

func hook(response http.ResponseWriter, request *http.Request) {
	var event struct {
		Event, User, Channel string
		Data                 any
	}
	if json.NewDecoder(request.Body).Decode(&event) != nil {
		response.WriteHeader(http.StatusBadRequest)
	} else if event.Event == "publish" && strings.HasPrefix(event.Channel, "/news/") && event.User != "editor" {
		response.WriteHeader(http.StatusForbidden)
	} else if event.Event == "service" {
		json.NewEncoder(response).Encode(map[string]any{"data": map[string]any{"asked": event.Data}})
	}
}

func main() {
	switch os.Args[1] {
	case "publish":
		publish(os.Args[2], os.Args[3])
	case "token":
		token(os.Args[2])
	case "place":
		place(os.Args[2])
	case "hook":
		panic(http.ListenAndServe("127.0.0.1:"+os.Args[2], http.HandlerFunc(hook)))
	}
}
