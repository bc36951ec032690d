// Lists the keys of a Key Protect instance with the token that an IamToken keeps alive in a file.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	kp "github.com/IBM/keyprotect-go-client"
)

func main() {
	url := flag.String("url", "https://us-south.kms.cloud.ibm.com", "the region's endpoint")
	instance := flag.String("instance", "", "the ID of the instance")
	file := flag.String("authorization", "/var/run/iam/authorization", "the file that holds \"Bearer <token>\"")
	every := flag.Duration("every", 0, "list again and again, with this pause; 0: once")
	flag.Parse()

	// Neither APIKey nor Authorization: each request brings its own token. The client's own transport, which nil stands
	// for, knows no HTTPS_PROXY; http.DefaultTransport does.
	client, err := kp.New(kp.ClientConfig{BaseURL: *url, InstanceID: *instance}, http.DefaultTransport)
	if err != nil {
		log.Fatal(err)
	}
	for {
		err := list(client, *file)
		switch {
		case *every == 0 && err != nil:
			log.Fatal(err)
		case *every == 0:
			return
		case err != nil:
			log.Print(err)
		}
		time.Sleep(*every)
	}
}

func list(client *kp.Client, file string) error {
	ctx, err := withToken(context.Background(), file)
	if err != nil {
		return err
	}
	keys, err := client.ListKeys(ctx, nil)
	if err != nil {
		return err
	}
	for _, key := range keys.Keys {
		fmt.Println(key.ID, key.Name)
	}
	return nil
}

// withToken makes the requests of a context carry the token that is in the file now. It reads the file each time, as the
// kubelet replaces it soon after every refresh.
func withToken(ctx context.Context, file string) (context.Context, error) {
	authorization, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return kp.NewContextWithAuth(ctx, strings.TrimSpace(string(authorization))), nil
}
